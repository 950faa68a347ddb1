"""The names of the placements that every release has."""

from __future__ import annotations

from typing import Final

HOME: Final = "home"
ITEM: Final = "item"
