"""The top of params.yaml: its groups by name, and the parameters that stand in none."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

App = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Seed = Annotated[int, Field(ge=0)]

# For readers of a few groups, which do not load what declares the others.
NAMES: Final = (
    "app", "seed", "ingest", "validate", "features", "candidates", "index", "ranking", "request", "evaluate", "release",
    "publish", "promotion", "serving", "resources", "rolling",
)  # fmt: skip
