"""`slate register, releases, sync, promote, rollback`: from a bundle to what is served, and back."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from cli.releases.requester import whoever_types
from contracts.errors import PromotionRefused, SlateworkError
from contracts.home import Home, find_home
from pipelines.paths import BUNDLE, REGISTERED

if TYPE_CHECKING:
    from contracts.settings.settings import Settings
    from release.journal.entries import Entry
    from release.promotion.decision import Decision
    from release.promotion.promotion import SyncReport
    from release.registry.registry import Version

REPORTS = Path("reports")
NOT_RECORDED = "not recorded"
WATCH_EVERY_S = 3.0  # a request must be decided within a minute; reading the registry takes milliseconds

AllowDirty = Annotated[bool, typer.Option("--allow-dirty", help="Also when built from uncommitted source.")]


class Target(StrEnum):
    """The stages a version can be promoted to, as MLflow spells them."""

    PRODUCTION = "Production"
    STAGING = "Staging"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (register, releases, sync, promote, rollback):
        app.command()(command)


def register(
    *, folder: Annotated[Path, typer.Option(help="The folder of the bundle.")] = BUNDLE, as_json: AsJson = False
) -> None:
    """Log the release in MLflow and register it as a version, once per release; record it in git.

    A release that was built here, of committed source, is recorded by a commit of params.yaml and dvc.lock on the
    branch that is checked out, under the tag `release/<id>`. A run of the training DAG records its own.
    """
    from contracts.json_file import write_json
    from pipelines.stage_run import run_folder
    from release.registry.registry import Registry
    from release.registry.state import Stage

    home, settings = find_home(), load_settings()
    version = _register(home, settings, folder)
    recorded = _record(home, settings, version, folder)
    registry = Registry(home, settings.app)
    write_json({"address": registry.run_page(version), "version": version.number}, run_folder() / REGISTERED)
    page = registry.connection.page_of(version.app, version.number)
    lines = [_describe_registration(version), page, *([recorded] if recorded else [])]
    lines += [_next_step(version)] if version.stage is not Stage.PRODUCTION else []
    print_result({**version.to_json(), "recorded": recorded}, as_json, "\n".join(lines))


def releases(*, as_json: AsJson = False) -> None:
    """List the registered versions, the commit that gives each of them back, and which release is served."""
    from release.journal.journal import Journal
    from release.registry.registry import Registry

    home, settings = find_home(), load_settings()
    in_production = Journal(home, settings.app).view().production
    rows = [_release_row(version, in_production) for version in Registry(home, settings.app).versions()]
    shown = [{**row, "commit": row["release_commit"][:12] or NOT_RECORDED, "served": _remark(row)} for row in rows]
    listing = table(shown, ("version", "stage", "release_id", "generation_id", "commit", "served"))
    print_result(rows, as_json, listing or "no versions yet: `dvc repro release`, then `slate register`")


def _remark(row: dict[str, Any]) -> str:
    if row["served"]:
        return "<- served"
    return f"copy of version {row['copy_of']}" if row["copy_of"] is not None else ""


def _release_row(version: Version, in_production: Entry | None) -> dict[str, Any]:
    """A version as it is listed: of the one that is served, the generation that is, which a refresh may have made."""
    if in_production is None or version.release_id != in_production.release_id or version.copy_of is not None:
        return {**version.to_json(), "served": False}
    return {**version.to_json(), "served": True, "generation_id": in_production.generation_id}


def sync(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two rounds of --watch.", min=0.1)] = WATCH_EVERY_S,
    as_json: AsJson = False,
) -> None:
    """Decide on the promotions that were asked for in MLflow, by stage or alias, and carry them out."""
    from contracts.progress import working
    from release.promotion.promotion import Promoter

    promoter = Promoter.open(load_settings(), find_home())
    if not watch:
        with working("slate sync: what was asked for is decided"):
            report = promoter.sync()
        _print_report(report, as_json, quiet=False)
        return
    from cli.releases.watching import watch as watch_rounds
    from contracts.stop_signals import stopped_by_signals
    from feature_store.server.embedded_redis import online_store

    with stopped_by_signals() as stop, online_store(promoter.home):
        print(
            f"{_now()}  watching {promoter.registry.connection.address} for model {promoter.settings.app}",
            file=sys.stderr,
        )
        watch_rounds(promoter.sync, lambda report: _print_report(report, as_json, quiet=True), _complain, stop, every)


def promote(
    version: Annotated[int, typer.Argument(help="The version's number: see `slate releases`.")],
    *,
    stage: Annotated[
        Target, typer.Option(case_sensitive=False, help="The stage to promote it to.")
    ] = Target.PRODUCTION,
    allow_dirty: AllowDirty = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE=REASON",
            help="Let the gate `drift`, or `ndcg` where nothing can be compared or the two exclude differently, pass "
            "although it fails; the reason goes into the journal. May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a version to be put into Production (or Staging), and have it decided now; exits 1 when refused."""
    from contracts.progress import working
    from release.gates.acceptance import read_acceptances
    from release.promotion.promotion import Promoter
    from release.registry.state import Stage

    accepted, settings = read_acceptances(accept or []), load_settings()
    with working(f"slate promote {version}: its values are published, its gates are asked"):
        decision = Promoter.open(settings, find_home()).promote(
            version, Stage(stage), requester=whoever_types(), allow_dirty=allow_dirty, accepted=accepted
        )
    print_result(decision.to_json(), as_json, _decision_text(decision))
    _raise_if_refused(decision)


def rollback(
    release: Annotated[str | None, typer.Argument(help="A release id; without one, the release before.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    as_json: AsJson = False,
) -> None:
    """Serve the previous release in production again, or the one named, at once; works while MLflow is away."""
    from contracts.settings.quick_params import load_rollback_params
    from release.journal.journal import Journal
    from release.promotion.rollback import RollbackResult, roll_back

    def say(done: RollbackResult) -> None:
        if not as_json:
            served = f"{done.pointer.release_id} (version {done.version})"
            print(f"serving {served} instead of {done.left_release_id}", flush=True)

    home, params = find_home(), load_rollback_params()
    journal = Journal(home, params.app)
    done = roll_back(params, home, journal, to=release, requester=whoever_types(), reason=reason, moved=say)
    pending = f"MLflow will be told by the next `slate sync`: {done.registry_pending}"
    if as_json or done.registry_pending:
        print_result(done.to_json(), as_json, pending)


def promote_built(home: Home, settings: Settings) -> None:
    """Register the bundle in build/release and put it into Production; what the demo does after the graph has run.

    Uncommitted source is accepted: whoever tries the demo out has edited something. Raises PromotionRefused when a
    gate fails.
    """
    from release.promotion.promotion import Promoter

    version = _register(home, settings, BUNDLE)
    print(_describe_registration(version))
    print(_record(home, settings, version, BUNDLE))
    decision = Promoter.open(settings, home).promote(version.number, requester=whoever_types(), allow_dirty=True)
    print(_decision_text(decision))
    _raise_if_refused(decision)


def _register(home: Home, settings: Settings, folder: Path) -> Version:
    from pipelines.stage_run import run_folder
    from release.bundle.code_version import built_from
    from release.bundle.manifest import load_manifest
    from release.registry.registration import RegistrationInputs
    from release.registry.registration import register as register_bundle
    from release.registry.registry import Registry

    commit, dirty = built_from(Path.cwd(), load_manifest(folder).code)
    inputs = RegistrationInputs(folder, run_folder(), REPORTS, commit, dirty)
    return register_bundle(Registry(home, settings.app), inputs)


def _record(home: Home, settings: Settings, version: Version, folder: Path) -> str:
    """Record in git what was built in this checkout; empty for a bundle of elsewhere, and in the worktree of a run."""
    from pipelines.runs.record import record_registered
    from pipelines.runs.repository import Repository
    from release.promotion.promotion import Promoter

    here = Path.cwd().resolve()
    if folder != BUNDLE or here.parent == home.worktrees.resolve():
        return ""
    return record_registered(Repository(here), Promoter.open(settings, home), version)


def _next_step(version: Version) -> str:
    promote = f"slate promote {version.number}"
    if version.dirty:
        return f"Next: commit the source and `slate register` again, or `{promote} --allow-dirty`."
    return f"Next: `{promote}`"


def _describe_registration(version: Version) -> str:
    if version.newly_registered:
        return f"registered release {version.release_id} as version {version.number} of {version.app}"
    return f"same release, version {version.number}: {version.release_id} is registered already"


def _print_report(report: SyncReport, as_json: bool, *, quiet: bool) -> None:
    if quiet and not any((report.decisions, report.rebuilt, report.canary_ended, report.mended)):
        return
    lines = [f"the pointer was set again to {report.rebuilt.release_id}"] if report.rebuilt else []
    lines += [f"values were written again: {lacked}" for lacked in report.mended]
    lines += [f"the canary was ended: {report.canary_ended}"] if report.canary_ended else []
    lines += [_decision_text(decision) for decision in report.decisions]
    at = f"{_now()}  " if quiet else ""
    print_result(report.to_json(), as_json, at + "\n".join(lines or ["nothing was asked for"]))


def _complain(error: SlateworkError) -> None:
    print(f"{_now()}  slate: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _now() -> str:
    """The time as a log has it: of a watch, nobody can tell else when it did what it did."""
    from contracts.clock import WallClock

    return WallClock().now().isoformat(sep=" ", timespec="seconds")


def _decision_text(decision: Decision) -> str:
    from release.gates.gate import failures_first

    head = f"version {decision.version} {decision.verdict} for {decision.stage}: {decision.summary}"
    rows = [gate.cells for gate in failures_first(decision.gates)]
    return "\n".join([head, *([table(rows, tuple(rows[0]))] if rows else [])])


def _raise_if_refused(decision: Decision) -> None:
    if not decision.accepted:
        raise PromotionRefused(
            f"Version {decision.version} was refused for {decision.stage}.",
            "What is served stays served. The reasons stand above, on the version in MLflow and in `slate journal`.",
        )
