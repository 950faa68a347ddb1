"""The parameters, for commands: what reads them is imported by the command that needs them, for it takes 0.2 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.settings.settings import Settings


def load_settings() -> Settings:
    """All of params.yaml; raises SettingsError naming every parameter that is wrong."""
    from contracts.settings import settings

    return settings.load_settings()
