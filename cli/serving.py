"""`slate serve` and `slate recommend`: the release in production over HTTP, and in a terminal."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_json
from cli.parameters import load_settings
from contracts.home import find_home
from contracts.printable import printable_line

if TYPE_CHECKING:
    from contracts.slates import Slate

FILTER = typer.Option(
    "--filter",
    help='What every item must satisfy, as JSON: {"field": "price", "operator": "at_most", "value": 50}.',
)
PLACEMENT = typer.Option("--placement", help="Where it is shown: one of placements.yaml. Left out: home, or item.")
TITLE_WIDTH = 44
SOURCE_WIDTH = 20


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(serve)
    app.command()(recommend)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="SLATE_API_PORT", min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[
        int,
        typer.Option(
            envvar="SLATE_API_WORKERS", min=1, max=64, help="Server processes; each keeps the releases in memory."
        ),
    ] = 1,
) -> None:
    """Serve the release in production over HTTP, and follow it when it changes."""
    one_thread_each()
    from feature_store.server.embedded_redis import online_store
    from serving.http.server import build_api, exit_quietly_on_sigterm, http_server, listen, log_to_stderr, run
    from serving.http.workers.processes import Workers

    exit_quietly_on_sigterm()
    log_to_stderr()
    settings, home = load_settings(), find_home()
    listening = listen(host, port)
    port = listening.getsockname()[1]
    with online_store(home):
        print(f"{settings.app}: http://{host}:{port}/v1/recommend, documented at http://{host}:{port}/docs", flush=True)
        if workers > 1:
            Workers(listening, home, str(port), workers).run()
        else:
            run(http_server(build_api(home, settings, spool_name=str(port))), listening)


def recommend(
    user: Annotated[str | None, typer.Option("--user", help="A person's id; left out: a newcomer.")] = None,
    session: Annotated[str | None, typer.Option(help="A session whose clicks count.")] = None,
    item: Annotated[str | None, typer.Option(help="Recommend beside this item.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="An item a newcomer likes; may be repeated.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="A category a newcomer likes; may be repeated.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Items wanted.")] = 10,
    wanted: Annotated[str | None, FILTER] = None,
    placement: Annotated[str | None, PLACEMENT] = None,
    as_json: AsJson = False,
) -> None:
    """Print the slate that the release in production answers, without a server."""
    one_thread_each()
    from contracts.filters import filter_in
    from contracts.ids import ItemId, SessionId, UserId
    from contracts.progress import working
    from contracts.slates import Preferences, RecommendRequest, Surface
    from serving.command_line_answer import answer_once

    settings, home = load_settings(), find_home()
    request = RecommendRequest(
        request_id="command-line",
        user_id=None if user is None else UserId(user),
        session_id=None if session is None else SessionId(session),
        surface=Surface.HOME if item is None else Surface.ITEM,
        item_id=None if item is None else ItemId(item),
        preferences=Preferences(tuple(category or ()), tuple(ItemId(item_id) for item_id in like or ())),
        k=k,
        seed=settings.seed,
        explain=True,
        filter=None if wanted is None else filter_in(wanted),
        placement=placement,
    )
    with working(f"slate recommend: the release of {settings.app} in production is loaded, and answers"):
        slate = answer_once(home, settings, request)
    if as_json:
        print_json(asdict(slate), indented=True)
    else:
        print(_as_table(slate) if slate.items else f"{head(slate)}\n{_why_none(is_filtered=wanted is not None)}")


def head(slate: Slate) -> str:
    """Which release answered, for whom, and without what."""
    missing = f", without {', '.join(slate.degraded)}" if slate.degraded else ""
    return f"release {slate.release_id}, generation {slate.generation_id}, tier {slate.tier}{missing}"


def _why_none(*, is_filtered: bool) -> str:
    if is_filtered:
        return "No item: none that this person may be shown passes the filter. Ask without `--filter`, or for less."
    return "No item: there is none that this person may be shown; see request.excluding_events and excluded_days."


def _as_table(slate: Slate) -> str:
    columns = f"{'#':>3}  {'title':{TITLE_WIDTH}}{'score':>9}  {'source':{SOURCE_WIDTH}}reasons"
    rows = [
        f"{item.position:>3}  {shortened(item.title, TITLE_WIDTH - 2):{TITLE_WIDTH}}{item.score:>9.3f}  "
        f"{item.source:{SOURCE_WIDTH}}{'; '.join(item.reasons)}"
        for item in slate.items
    ]
    return "\n".join([head(slate), columns, *map(printable_line, rows)])


def shortened(text: str, width: int) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def one_thread_each() -> None:
    """One thread per call for OpenMP's libraries, which read this when they are imported; BLAS has one everywhere.

    A request is too small to be worth a team of threads, and teams of several requests would fight for the cores.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
