"""`slate preview`: a placement's slate as a person would see it, and what its rules do to it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_json
from cli.parameters import load_settings
from cli.serving import SOURCE_WIDTH, TITLE_WIDTH, head, one_thread_each, shortened
from contracts.home import find_home
from contracts.printable import printable_line

if TYPE_CHECKING:
    from contracts.slates import RecommendRequest, Slate


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(preview)


def preview(
    placement: Annotated[str, typer.Option(help="Where it is shown: one of placements.yaml.")] = "home",
    user: Annotated[str | None, typer.Option("--user", help="A person's id; left out: a newcomer.")] = None,
    item: Annotated[str | None, typer.Option(help="The item beside which it stands.")] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="What is known of the moment, as device=phone; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A rule of the placement to leave out; may be repeated.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=500, help="Items wanted.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print a placement's slate as a person would see it; with --without, as it would be without some of its rules."""
    one_thread_each()
    from dataclasses import replace

    from contracts.progress import working
    from serving.command_line_answer import answer_each

    settings, home = load_settings(), find_home()
    request = _request(placement, user, item, context or [], k, settings.seed)
    asked = [request, *([replace(request, without_rules=tuple(without))] if without else [])]
    with working(f"slate preview: the release of {settings.app} in production is loaded, and answers"):
        slates = answer_each(home, settings, asked)
    if as_json:
        print_json([asdict(slate) for slate in slates], indented=True)
    else:
        print(_page(slates[-1], slates[0] if without else None, without or []))


def _request(
    placement: str, user: str | None, item: str | None, context: list[str], k: int, seed: int
) -> RecommendRequest:
    from contracts.ids import ItemId, UserId
    from contracts.slates import RecommendRequest

    return RecommendRequest(
        request_id="preview",
        user_id=None if user is None else UserId(user),
        item_id=None if item is None else ItemId(item),
        context=dict(_told(one) for one in context),
        k=k,
        seed=seed,
        placement=placement,
    )


def _told(text: str) -> tuple[str, str]:
    from contracts.errors import WrongInput

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise WrongInput(f"--context {text!r:.80} names nothing.", "Write it as --context device=phone.")
    return name, value


def _page(slate: Slate, shown: Slate | None, without: list[str]) -> str:
    """The slate as a table; shown: what all rules make, beside which it stands."""
    rules = ", ".join(slate.rules) or "none"
    lines = [f"{head(slate)}, placement {slate.placement}", f"rules that hold: {rules}"]
    if shown is not None:
        lines.append(f"without {', '.join(without)}; shown: the place in the slate of all rules")
    return "\n".join([*lines, _columns(shown), *(printable_line(row) for row in _rows(slate, shown))])


def _columns(shown: Slate | None) -> str:
    beside = "" if shown is None else f"{'shown':>7}"
    return f"{'#':>3}{beside}  {'title':{TITLE_WIDTH}}{'score':>9}  {'source':{SOURCE_WIDTH}}rules"


def _rows(slate: Slate, shown: Slate | None) -> list[str]:
    places = {item.item_id: item.position for item in shown.items} if shown else {}
    return [
        f"{item.position:>3}{'' if shown is None else f'{places.get(item.item_id, 0) or chr(45):>7}'}  "
        f"{shortened(item.title, TITLE_WIDTH - 2):{TITLE_WIDTH}}{item.score:>9.3f}  {item.source:{SOURCE_WIDTH}}"
        f"{', '.join(item.rules)}".rstrip()
        for item in slate.items
    ]
