"""The parameters that a rollback reads, checked; `quick_params` asks for them only where it has to."""

from __future__ import annotations

from pathlib import Path

from contracts.settings.group import Group
from contracts.settings.group_names import App
from contracts.settings.loading import load_groups
from contracts.settings.publish import PublishSettings


class _App(Group):
    app: App


class _Publish(Group):
    publish: PublishSettings


def load_app(path: Path) -> str:
    """The application's name; raises SettingsError where it is missing or wrong."""
    return load_groups(_App, path).app


def load_publish(path: Path) -> PublishSettings:
    """The group `publish`; raises SettingsError where it is missing or wrong."""
    return load_groups(_Publish, path).publish
