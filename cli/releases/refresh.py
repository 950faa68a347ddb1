"""`slate refresh`: fresher feature values for the release in production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import AsJson, print_result
from cli.parameters import load_settings
from cli.releases.requester import whoever_types
from contracts.home import find_home
from pipelines.paths import VALIDATION_RESULT, Cutoff, feature_values

VALUES = feature_values(Cutoff.ALL)


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(refresh)


def refresh(
    *,
    values: Annotated[Path, typer.Option(help="The folder of feature values to publish.")] = VALUES,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    as_json: AsJson = False,
) -> None:
    """Serve the values that `dvc repro features` made, with the models that are in production."""
    from contracts.progress import working
    from release.journal.journal import Journal
    from release.promotion.refresh import RefreshInputs
    from release.promotion.refresh import refresh as refresh_values

    home, settings = find_home(), load_settings()
    with working("slate refresh: the values are checked and published"):
        done = refresh_values(
            settings,
            home,
            Journal(home, settings.app),
            RefreshInputs(values, VALIDATION_RESULT, Path.cwd()),
            requester=whoever_types(),
            reason=reason,
        )
    now = f"generation {done.pointer.generation_id} of {done.pointer.release_id}, as of {done.as_of.isoformat()}"
    changed = done.pointer.generation_id != done.left_generation_id
    lines = [f"serving {now}, instead of {done.left_generation_id}" if changed else f"nothing fresher than {now}"]
    lines += [f"values were written again: {lacked}" for lacked in done.mended]
    if done.n_new_items:
        lines.append(f"{done.n_new_items} new items are not served: they wait for the next training")
    if done.n_absent_items:
        lines.append(f"{done.n_absent_items} items of the release are not in the data any more; they get defaults")
    print_result(done.to_json(), as_json, "\n".join(lines))
