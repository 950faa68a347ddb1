"""`slate compare A B`: how two releases do on the same questions, and which of their parts makes the difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.errors import NotComparable
from contracts.home import find_home

if TYPE_CHECKING:
    from contracts.home import Home

ReleaseName = Annotated[
    str,
    typer.Argument(
        help="A release id, a version's number, `production`, `staging`, a run's id, or a folder: a bundle's, or a "
        "checkout's that built one."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(compare)


def compare(
    a: ReleaseName,
    b: ReleaseName,
    *,
    parts: Annotated[bool, typer.Option("--parts/--no-parts", help="Also ask each with the other's parts.")] = True,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page that needs nothing else.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask two releases the same questions, which neither has learnt from, and find the parts that differ in effect.

    Where only the figures of their evaluation cards are left to compare, prints those, and ends with status 1.
    """
    from contracts.progress import working
    from release.bundle.open_bundle import OpenBundle
    from release.evaluation.summary import Bootstrap
    from release.side_by_side.figures import figures_of, side_by_side
    from release.side_by_side.page import write_page

    settings, home = load_settings(), find_home()
    ours, theirs = (OpenBundle(_bundle_of(name, home, settings.app)) for name in (a, b))
    if ours.manifest.release_id == theirs.manifest.release_id:
        told = {"a": ours.manifest.release_id, "b": theirs.manifest.release_id, "same": True}
        print_result(told, as_json, f"{ours.manifest.release_id}: one release, equal in everything")
        return
    bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
    try:
        with working("slate compare") as begin:
            found = side_by_side(ours, theirs, bootstrap, begin, parts=parts)
    except NotComparable as error:
        _print_cards(ours.folder, theirs.folder, error, as_json=as_json)
        raise
    figures = figures_of(found, bootstrap)
    print_result(figures, as_json, "\n".join(_lines(figures)))  # first: minutes of work, whatever the page's disk says
    if html is not None:
        write_page(html, figures)
        if not as_json:
            print(f"\npage: {html}")


def _bundle_of(name: str, home: Home, app: str) -> Path:
    """As `slate diff` names releases, and by the folder of a checkout or the id of a run that built one."""
    from pipelines.paths import BUNDLE
    from pipelines.runs.workspace import Workspace
    from release.bundle.manifest import MANIFEST
    from release.lookup import find_bundle

    built = [Path(name) / BUNDLE, Workspace.of_run(home, name).folder / BUNDLE]
    return next((folder for folder in built if (folder / MANIFEST).is_file()), None) or find_bundle(name, home, app)


def _print_cards(a: Path, b: Path, error: NotComparable, *, as_json: bool) -> None:
    from release.difference import compare_cards
    from release.side_by_side.tables import card_lines

    cards = compare_cards(a, b)
    lines = ["The evaluation cards, each made on its own release's questions: not comparable."]
    lines += [aligned(card_lines(cards), n_left=2)] if cards else ["They say the same."]
    print_result({"comparable": False, "why": error.problem, "cards": cards}, as_json, "\n".join(lines))


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    from release.side_by_side.tables import metric_lines, misfit_lines, part_lines, tier_lines, title_of

    asked, groups = figures["questions"], figures["groups"]
    yield f"A {figures['a']['release_id']}, B {figures['b']['release_id']}: {figures['verdict']}"
    yield (
        f"The measured fits of both, asked about the test window of {asked['of']}, {asked['start'][:10]} to "
        f"{asked['end'][:10]}; intervals of 95%, paired by person"
    )
    yield from (f"note: {note}" for note in figures["notes"])
    for group, of_group in groups.items():
        yield f"\n{title_of(group, of_group)}"
        yield aligned(metric_lines(of_group), n_left=1, indent="  ")
    yield "\nby tier: " + figures["metric"].replace("_at_", "@")
    yield aligned(tier_lines(figures), n_left=2, indent="  ")
    for group, of_group in groups.items() if figures["parts"] else ():
        yield f"\nwhat B gains by each part, {title_of(group, of_group)}"
        yield aligned(part_lines(figures, group), indent="  ")
    yield from (f"\n{part} does not fit: {why}" for part, why in misfit_lines(figures))
    if figures["parts"] == []:
        yield "\nThey differ in no part that answers: what they were built from differs, and what came of it does not."
