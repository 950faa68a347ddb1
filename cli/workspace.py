"""`slate workspace`: the steps of one run in a git worktree of its own; what the tasks of the training DAG call."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, print_json
from contracts.counted import counted
from contracts.errors import PromotionRefused, SettingsError, WorkspaceError
from contracts.home import Home, find_home, main_checkout
from pipelines.paths import REGISTERED

if TYPE_CHECKING:
    from pipelines.runs.repository import Repository

SHOWN_EDITS = 10  # enough to recognise what was left out; the count says the rest
NO_STAGES = ("register", "refresh")  # the steps of a run that are commands of `slate`, not stages of DVC
SERVED = "release in production"  # as a ref: the commit that the release in production was recorded with

RunId = Annotated[str, typer.Option("--run-id", help="The run's name: any text, such as an Airflow run id.")]
Ref = Annotated[str, typer.Option(help="Branch, tag or commit to run; or `release in production`.")]
Source = Annotated[str, typer.Option(help="Replaces ingest.source; empty: as in params.yaml.")]
Overrides = Annotated[str, typer.Option(help='Dotted parameters as JSON: {"ranking.n_trees": 200}.')]

commands = typer.Typer(
    name="workspace",
    help="The steps of a training run in a git worktree of its own; the DAG calls them.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(commands)


@commands.command()
def prepare(run_id: RunId, ref: Ref = "HEAD", source: Source = "", overrides: Overrides = "{}") -> None:
    """Make the run's worktree at REF with the overrides in its params.yaml; the last line printed is its path."""
    from pipelines.runs import workspace

    repository = _repository()
    ref = _tag_of_production(repository, find_home()) if ref == SERVED else ref
    changes = _preset_overrides(repository) | _parse_overrides(overrides)
    changes |= {"ingest.source": source} if source else {}
    prepared = workspace.prepare(repository, find_home(), run_id, ref, changes)
    commit = repository.commit_of(ref)
    print(f"{ref} is {commit[:12]}; overrides: {json.dumps(changes) if changes else 'none'}")
    _warn_of_uncommitted_edits(repository)
    print(prepared.folder)


@commands.command()
def run(step: str, run_id: RunId) -> None:
    """Run one DVC stage, `register` or `refresh` in the run's worktree."""
    from pipelines.runs import run_step, workspace
    from pipelines.runs.validation_report import bring_report

    run_workspace = workspace.find_or_rebuild(_repository(), find_home(), run_id)
    if step not in NO_STAGES:
        run_step.reproduce(run_workspace, step)
        if step == "validate":
            bring_report(run_workspace)
        return
    code, _ = run_step.run_in(run_workspace, ["-m", "cli.main", step])
    if code != 0:
        raise run_step.failed(run_workspace, step, code)


@commands.command()
def record(run_id: RunId) -> None:
    """Commit what the run made, tag it with its release, push its data, and remove the worktree."""
    from pipelines.runs.record import record_run

    for sentence in record_run(_repository(), find_home(), run_id):
        print(sentence)


@commands.command()
def page(run_id: RunId) -> None:
    """Print the HTML page of a run's validation, also after its worktree was removed."""
    from pipelines.runs.workspace import slug_of

    path = find_home().runs / slug_of(run_id) / "validation" / "index.html"
    if not path.is_file():
        raise WorkspaceError(
            f"Run {run_id!r} left no page of a validation: {path} is missing.",
            "Its task `validate` has not come so far, or DVC had its result from another machine; its log says more.",
        )
    print(path.read_text(encoding="utf-8"))


@commands.command()
def address(run_id: RunId) -> None:
    """Print where a run stands in MLflow, also after its worktree was removed."""
    from pipelines.runs.workspace import slug_of

    path = find_home().runs / slug_of(run_id) / REGISTERED
    if not path.is_file():
        raise WorkspaceError(
            f"Run {run_id!r} is not registered in MLflow: {path} is missing.",
            "Its task `register` has not come so far; its log says more.",
        )
    print(json.loads(path.read_bytes())["address"])


@commands.command(name="list")
def list_workspaces(*, as_json: AsJson = False) -> None:
    """List the worktrees of runs: those in progress, and those that failed."""
    from pipelines.runs import workspace

    workspaces = workspace.kept(find_home())
    rows = [{"run_id": one.request and one.request.run_id, "folder": str(one.folder)} for one in workspaces]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['run_id']}  {row['folder']}")
    if not rows:
        print("no workspaces")


@commands.command()
def remove(run_id: RunId) -> None:
    """Remove the run's worktree; what it committed and tagged stays."""
    from pipelines.runs import workspace

    run_workspace = workspace.find(find_home(), run_id)
    workspace.remove(_repository(), run_workspace)
    print(f"removed {run_workspace.folder}")


def _preset_overrides(repository: Repository) -> dict[str, Any]:
    """What the application that is meant sets over params.yaml; nothing for the checkout's own."""
    from contracts.settings.presets import load_preset
    from pipelines.runs.application import is_own

    app = os.environ.get("SLATE_APP")
    return {} if not app or is_own(repository, app) else load_preset(repository.root, app)


def _repository() -> Repository:
    from pipelines.runs.repository import Repository

    return Repository(main_checkout(Path.cwd()))


def _tag_of_production(repository: Repository, home: Home) -> str:
    """The tag of the release in production; raises PromotionRefused where nothing is, or git does not have it."""
    from contracts.settings.settings import load_settings
    from release.journal.journal import Journal

    entry = Journal(home, load_settings().app).view().production
    if entry is None:
        raise PromotionRefused(
            "Nothing is in production: there is no release to refresh.", "Promote one: `slate promote VERSION`."
        )
    tag = f"release/{entry.release_id}"
    if not repository.has_tag(tag):
        raise PromotionRefused(
            f"Release {entry.release_id}, in production, is not recorded in git: {repository.root} has no tag {tag}.",
            "Commit what it was built from and run `slate register` where it was built, or bring the tag from there "
            "(`git fetch --tags`), or train with `train_recommender`, which records what it makes.",
        )
    return tag


def _parse_overrides(text: str) -> dict[str, Any]:
    advice = 'Write a JSON object with dotted keys, such as {"ranking.n_trees": 200}.'
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"The overrides are no JSON: {error}; found {text!r:.200}", advice) from error
    if not isinstance(value, dict):
        raise SettingsError(f"The overrides are {type(value).__name__}; expected an object: {text!r:.200}", advice)
    _check_no_rule_of_promotion(value)
    return value


def _check_no_rule_of_promotion(overrides: dict[str, Any]) -> None:
    """Whoever may start a training may not thereby say who may promote, or what a release must show."""
    for key in overrides:
        if key.partition(".")[0] == "promotion" and key != "promotion.after_training":
            raise SettingsError(
                f"`{key}` cannot be overridden for one run: it is a rule of promotion.",
                "Change it in params.yaml and commit it; a form may set `promotion.after_training` alone.",
            )


def _warn_of_uncommitted_edits(repository: Repository) -> None:
    edits = repository.uncommitted()
    if edits:
        shown = ", ".join(edits[:SHOWN_EDITS]) + (", ..." if len(edits) > SHOWN_EDITS else "")
        print(
            f"{counted(len(edits), 'uncommitted edit')} in {repository.root} not in this run: {shown}", file=sys.stderr
        )
