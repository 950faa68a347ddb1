"""The names of files that say that a folder is whole; who only looks for them imports nothing heavy."""

from __future__ import annotations

from typing import Final

VALUES: Final = "values.json"  # of a generation's values
