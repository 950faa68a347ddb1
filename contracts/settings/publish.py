"""Parameters `publish`: feature values in the online store."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class PublishSettings(Group):
    """batch_size: entities sent to the online store in one pipeline; keep_generations: how many of the generations last
    in production stay in the store, for a rollback in an instant; grace_hours: how long one that is not in production
    yet stays."""

    batch_size: int = Field(ge=1, le=100_000)
    keep_generations: int = Field(ge=1, le=1000)
    grace_hours: float = Field(ge=0)
