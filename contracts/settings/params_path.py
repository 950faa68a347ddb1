"""Where the parameters are. A module of its own: a rollback waits for nothing that reads and checks them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PARAMS: Final = Path("params.yaml")
