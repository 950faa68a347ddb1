"""`slate register, releases, sync, promote, rollback, journal`: from a bundle to what is served, and back."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.parameters import load_settings
from contracts.errors import PromotionRefused, SlateworkError
from contracts.home import Home, find_home
from pipelines.paths import BUNDLE

if TYPE_CHECKING:
    from contracts.settings import Settings
    from release.decision import Decision
    from release.promotion import SyncReport
    from release.registry import Version

REPORTS = Path("reports")
WATCH_EVERY_S = 3.0  # a request must be decided within a minute; reading the registry takes milliseconds
JOURNAL_LENGTH = 20

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AllowDirty = Annotated[bool, typer.Option("--allow-dirty", help="Also when built from uncommitted source.")]


class Target(StrEnum):
    """The stages a version can be promoted to, as MLflow spells them."""

    PRODUCTION = "Production"
    STAGING = "Staging"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (register, releases, sync, promote, rollback, journal):
        app.command()(command)


def register(*, folder: Annotated[Path, typer.Option(help="The bundle.")] = BUNDLE, as_json: AsJson = False) -> None:
    """Log the release in MLflow and register it as a version, once per release."""
    version = _register(find_home(), load_settings(), folder)
    _print(version.to_json(), as_json, _describe_registration(version))


def releases(*, as_json: AsJson = False) -> None:
    """The versions there are, and which release is served."""
    from release.history import served
    from release.journal import Journal
    from release.registry import Registry

    home, settings = find_home(), load_settings()
    in_production = served(Journal(home, settings.app).entries())
    rows = [
        {**version.to_json(), "served": in_production is not None and version.release_id == in_production.release_id}
        for version in Registry(home, settings.app).versions()
    ]
    shown = [{**row, "commit": row["commit"][:12], "served": "<- served" if row["served"] else ""} for row in rows]
    table = _table(shown, ("version", "stage", "release_id", "generation_id", "commit", "served"))
    _print(rows, as_json, table or "no versions yet: `dvc repro release`, then `slate register`")


def sync(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks when watching.", min=0.1)] = WATCH_EVERY_S,
    as_json: AsJson = False,
) -> None:
    """Carry out, or refuse, what was asked for in MLflow by stage or alias."""
    from release.promotion import Promoter

    promoter = Promoter.open(load_settings(), find_home())
    if not watch:
        _tell(promoter.sync(), as_json, quiet=False)
        return
    from feature_store.embedded_redis import online_store
    from release.watching import stopped_by_signals
    from release.watching import watch as watch_rounds

    with stopped_by_signals() as stop, online_store(promoter.home):
        print(f"watching {promoter.registry.connection.address} for model {promoter.settings.app}", file=sys.stderr)
        watch_rounds(promoter.sync, lambda report: _tell(report, as_json, quiet=True), _complain, stop, every)


def promote(
    version: Annotated[int, typer.Argument(help="The version's number: see `slate releases`.")],
    *,
    stage: Annotated[Target, typer.Option(case_sensitive=False, help="Where to.")] = Target.PRODUCTION,
    allow_dirty: AllowDirty = False,
    accept: Annotated[str, typer.Option(help="Why, where it cannot be compared with what is served.")] = "",
    as_json: AsJson = False,
) -> None:
    """Ask for a version to be put into Production (or Staging), and have it decided now; exits 1 when refused."""
    from release.promotion import Promoter
    from release.registry_state import Stage

    decision = Promoter.open(load_settings(), find_home()).promote(
        version, Stage(stage), requester=_requester(), allow_dirty=allow_dirty, accepted=accept
    )
    _print(decision.to_json(), as_json, _describe(decision))
    _raise_if_refused(decision)


def rollback(
    release: Annotated[str | None, typer.Argument(help="A release id; without one, the release before.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    as_json: AsJson = False,
) -> None:
    """Serve the previous release in production again, or the one named, at once; works while MLflow is away."""
    from contracts.quick_params import load_rollback_params
    from release.quick_journal import open_journal
    from release.rollback import RolledBack, roll_back

    def say(done: RolledBack) -> None:
        if not as_json:
            served = f"{done.pointer.release_id} (version {done.version})"
            print(f"serving {served} instead of {done.left_release_id}", flush=True)

    home, params = find_home(), load_rollback_params()
    journal = open_journal(home, params.app)
    done = roll_back(params, home, journal, to=release, requester=_requester(), reason=reason, moved=say)
    if as_json:
        _print(done.to_json(), as_json, "")
    elif done.registry_pending:
        print(f"MLflow will be told by the next `slate sync`: {done.registry_pending}")


def journal(
    *,
    limit: Annotated[int, typer.Option(help="Entries shown, the latest; 0 shows all.", min=0)] = JOURNAL_LENGTH,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry was changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was asked, decided and switched, when and why."""
    from release.journal import Journal

    book = Journal(find_home(), load_settings().app)
    if verify:
        n_entries = book.verify()
        _print({"entries": n_entries, "sound": True}, as_json, f"{n_entries} entries, each follows from the one before")
        return
    rows = [entry.to_json() for entry in book.entries()[-limit:]]
    shown = [{**row, "ts": row["ts"][:19], "reason": row["reason"][:80]} for row in rows]
    columns = ("id", "ts", "action", "phase", "version", "release_id", "epoch", "requester", "reason")
    _print(rows, as_json, _table(shown, columns) or "the journal is empty")


def promote_built(home: Home, settings: Settings) -> None:
    """Register the bundle in build/release and put it into Production; what the demo does after the graph has run.

    Uncommitted source is accepted: whoever tries the demo out has edited something. Raises PromotionRefused when a
    gate fails.
    """
    from release.promotion import Promoter

    version = _register(home, settings, BUNDLE)
    print(_describe_registration(version))
    decision = Promoter.open(settings, home).promote(version.number, requester=_requester(), allow_dirty=True)
    print(_describe(decision))
    _raise_if_refused(decision)


def _register(home: Home, settings: Settings, folder: Path) -> Version:
    from pipelines.stage_run import run_folder
    from release.code_version import built_from
    from release.manifest import load_manifest
    from release.registration import Sources
    from release.registration import register as register_bundle
    from release.registry import Registry

    commit, dirty = built_from(Path.cwd(), load_manifest(folder).code)
    sources = Sources(folder, run_folder(), REPORTS, commit, dirty)
    return register_bundle(Registry(home, settings.app), sources)


def _describe_registration(version: Version) -> str:
    if version.newly_registered:
        return f"registered release {version.release_id} as version {version.number} of {version.app}"
    return f"same release, version {version.number}: {version.release_id} is registered already"


def _tell(report: SyncReport, as_json: bool, *, quiet: bool) -> None:
    if quiet and not report.decisions and not report.rebuilt:
        return
    lines = [f"the pointer was set again to {report.rebuilt.release_id}"] if report.rebuilt else []
    lines += [_describe(decision) for decision in report.decisions]
    _print(report.to_json(), as_json, "\n".join(lines) or "nothing was asked for")


def _complain(error: SlateworkError) -> None:
    print(f"slate: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _describe(decision: Decision) -> str:
    head = f"version {decision.version} {decision.verdict} for {decision.stage}: {decision.reason}"
    return "\n".join([head, *(f"  {gate.name:<12} {gate.verdict}" for gate in decision.gates)])


def _raise_if_refused(decision: Decision) -> None:
    if not decision.accepted:
        raise PromotionRefused(
            f"Version {decision.version} was refused for {decision.stage}: {decision.reason}",
            "What is served stays served. The figures are on the version in MLflow and in `slate journal`.",
        )


def _requester() -> str:
    return f"cli:{getpass.getuser()}"


def _print(value: Any, as_json: bool, text: str) -> None:
    print(json.dumps(value, sort_keys=True) if as_json else text, flush=True)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return ""
    cells = [list(columns)] + [["" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[position]) for line in cells) for position in range(len(columns))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
