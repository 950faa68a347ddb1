"""All of params.yaml as frozen, typed settings.

A stage loads its own groups alone (`load_groups`): groups that it does not read cannot stop it. Every key of its own
groups is checked, also one that it does not read. It runs again for the keys alone that dvc.yaml names.
A slip in any other parameter is still told early: the commands of `slate` that read parameters load all of them, and so
does the stage `publish`, which runs at each `dvc repro`.
"""

from __future__ import annotations

from pathlib import Path

from contracts.settings.identity_params import ReleasedSettings
from contracts.settings.loading import load_whole
from contracts.settings.params_path import PARAMS
from contracts.settings.promotion import PromotionSettings
from contracts.settings.publish import PublishSettings
from contracts.settings.resources import ResourceSettings
from contracts.settings.rolling import RollingSettings
from contracts.settings.serving import ServingSettings


class Settings(ReleasedSettings):
    """All of params.yaml."""

    publish: PublishSettings
    promotion: PromotionSettings
    serving: ServingSettings
    resources: ResourceSettings = ResourceSettings()
    rolling: RollingSettings = RollingSettings()


def load_settings(path: Path = PARAMS) -> Settings:
    """Read and check all parameters; raises SettingsError naming every one that is wrong or unknown."""
    return load_whole(Settings, path)
