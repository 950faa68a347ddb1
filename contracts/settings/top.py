"""The parameters that stand in no group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

App = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Seed = Annotated[int, Field(ge=0)]
