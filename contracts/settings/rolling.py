"""Parameters `rolling`: the windows that parameters are chosen on."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class RollingSettings(Group):
    """n_windows: the latest, each as long as the test window in events; the last of them is the test window, which
    chooses nothing. n_seeds: fits of each window, from `seed` on, whose figures are averaged. cache_gib: of what was
    fitted before, kept under SLATE_HOME for `slate judge` and `slate tune`; 0 keeps nothing."""

    n_windows: int = Field(default=5, ge=2, le=20)
    n_seeds: int = Field(default=3, ge=1, le=20)
    cache_gib: float = Field(default=8.0, ge=0)
