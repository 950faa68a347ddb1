"""Parameters `resources`: what a stage may take of the machine. They change no result: no stage runs again for them."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class ResourceSettings(Group):
    """memory_gib: that a stage may take; null for all that the machine has. One that would need more is refused before
    it begins."""

    memory_gib: float | None = Field(default=None, gt=0)
