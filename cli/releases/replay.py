"""`slate replay`: logged requests answered again, and whether the answers are the same, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.home import find_home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from release.replay.replay import Replayed

N_SHOWN = 5


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(replay)


def replay(
    request_id: Annotated[str | None, typer.Argument(help="One request; left out: the latest.")] = None,
    *,
    last: Annotated[int, typer.Option(help="Requests answered again, the latest.", min=1, max=1_000_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """Answer logged requests again, by their own release and generation; exits 1 where an answer differs."""
    from contracts.progress import working
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from release.replay.replay import Outcome, replay_logged
    from release.replay.request_log import latest_answers, logged_answer

    home, settings = find_home(), load_settings()
    what = "slate replay: logged requests are answered again"
    with working(what), online_store(home) as url, connect(url) as client:
        if request_id is None:
            answers, n_untold = latest_answers(client, settings.app, last)
        else:
            length = settings.serving.request_log_length
            answers, n_untold = [logged_answer(client, settings.app, request_id, length)], 0
        replayed = list(replay_logged(home, answers))
    figures = _figures(replayed, n_untold)
    print_result(figures, as_json, _text(figures))
    if figures["outcomes"][str(Outcome.DIFFERENT)]:
        raise typer.Exit(1)


def _figures(replayed: Sequence[Replayed], n_untold: int) -> dict[str, Any]:
    from release.replay.replay import Outcome, counts

    return {
        "requests": len(replayed),
        "without_an_account": n_untold,
        "outcomes": counts(replayed),
        "different": [one.logged.request.request_id for one in replayed if one.outcome is Outcome.DIFFERENT][:N_SHOWN],
        "gone": sorted({one.why_gone for one in replayed if one.why_gone is not None})[:N_SHOWN],
    }


def _text(figures: dict[str, Any]) -> str:
    rows = [(outcome, count) for outcome, count in figures["outcomes"].items()]
    lines = [f"{figures['requests']} requests answered again", aligned(rows, n_left=1)]
    if figures["without_an_account"]:
        lines.append(f"{figures['without_an_account']} more of which the log does not tell what they were answered")
    lines += [f"different: {request_id}; `slate why {request_id}` tells more" for request_id in figures["different"]]
    return "\n".join([*lines, *figures["gone"]])
