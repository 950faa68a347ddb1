"""What every group of parameters is: frozen, nothing unknown in it, and every number finite."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A group of parameters: frozen, nothing unknown in it, and every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
