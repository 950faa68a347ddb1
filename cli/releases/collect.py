"""`slate collect`: removes from the online store the feature values that nothing refers to any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_json
from cli.parameters import load_settings
from contracts.home import find_home

if TYPE_CHECKING:
    from feature_store.publishing.garbage_collection import GarbageCollection


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(collect)


def collect(
    *,
    all_unreferenced: Annotated[
        bool,
        typer.Option(
            "--all-unreferenced",
            help="Also generations that are kept only because they are recent (publish.keep_generations, grace_hours).",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old feature values from the online store; never those that are served, or that a rollback would go to.

    Served traffic is another thing: `slate traffic collect` copies it.
    """
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from release.journal.journal import Journal
    from release.promotion.generation_cleanup import collect_generations

    home, settings = find_home(), load_settings()
    view = Journal(home, settings.app).view()
    with online_store(home) as url, connect(url) as client:
        done = collect_generations(client, settings.app, view, settings.publish, all_unreferenced=all_unreferenced)
    if as_json:
        print_json(done.to_json(), indented=True)
    else:
        print(_collection_text(done))


def _collection_text(done: GarbageCollection) -> str:
    kept = [f"kept       {_generation_text(one.generation_id, one.release_id)}{one.why}" for one in done.kept]
    removed = [
        f"collected  {_generation_text(one.generation_id, one.release_id)}{one.n_keys} keys" for one in done.removed
    ]
    return "\n".join([*kept, *removed]) or "no generations in the store"


def _generation_text(generation_id: str, release_id: str | None) -> str:
    return f"{generation_id}  of release {release_id or 'unknown':18}"
