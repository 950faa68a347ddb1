"""The commands: what `slate --help` lists together, and in which module each of them stands.

A command waits for the imports of its own module only. All of them, and what typer makes of their parameters, took a
fifth of the time of a rollback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import typer

# Panel of the help -> module -> its commands, in the order in which the help lists the modules.
PANELS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Begin": {"cli.demo": ("demo",), "cli.doctor": ("doctor",), "cli.checkout": ("setup", "clean")},
    "Bring data": {
        "cli.data.inspect": ("inspect",),
        "cli.data.quarantine": ("quarantine",),
        "cli.data.baseline": ("baseline",),
        "cli.data.simulate": ("simulate",),
        "cli.data.traffic": ("traffic",),
    },
    "Release and promote": {
        "cli.releases.releases": ("register", "releases", "sync", "promote", "rollback"),
        "cli.releases.refresh": ("refresh",),
        "cli.releases.journal": ("journal",),
    },
    "Compare before and after": {
        "cli.releases.difference": ("diff",),
        "cli.releases.comparison": ("compare",),
        "cli.releases.shadow": ("shadow",),
        "cli.releases.canary": ("canary",),
        "cli.releases.parity": ("parity",),
        "cli.releases.replay": ("replay",),
        "cli.releases.why": ("why",),
        "cli.rules": ("rules",),
        "cli.judge": ("judge",),
        "cli.tune": ("tune",),
    },
    "Serve": {
        "cli.serving": ("serve", "recommend"),
        "cli.preview": ("preview",),
        "cli.batch": ("batch",),
        "cli.data.features": ("features",),
        "cli.releases.collect": ("collect",),
    },
    "Run services": {"cli.services.services": ("up", "down", "status"), "cli.workspace": ("workspace",)},
}
HIDDEN: Mapping[str, Sequence[str]] = {"cli.services.services": ("redis",)}
# Options that stand before the command, and how many words follow each.
OPTIONS = {"--app": 1, "--debug": 0}


def add_commands(app: typer.Typer, words: Sequence[str]) -> None:
    """Register the commands of the module that the command line needs; those of all modules where it names none.

    words: the command line without the program's name.
    """
    named = named_command(words)
    modules = {name: module for each in (*PANELS.values(), HIDDEN) for module, names in each.items() for name in names}
    for module in (modules[named],) if named in modules else dict.fromkeys(modules.values()):
        import_module(module).add_to(app)
    _put_into_panels(app)


def named_command(words: Sequence[str]) -> str | None:
    """The first word that is neither an option nor an option's value; None where an unknown option comes first."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name, given, _ = rest.pop(0).partition("=")
        if name not in OPTIONS:
            return None
        del rest[: 0 if given else OPTIONS[name]]
    return rest[0] if rest else None


def _put_into_panels(app: typer.Typer) -> None:
    panel_of = {name: panel for panel, each in PANELS.items() for names in each.values() for name in names}
    for command in app.registered_commands:
        command.rich_help_panel = panel_of.get(command.name or str(getattr(command.callback, "__name__", "")))
    for group in app.registered_groups:
        named = (group.name, group.typer_instance.info.name if group.typer_instance else None)
        group.rich_help_panel = next((panel_of[name] for name in named if isinstance(name, str)), None)
