"""`slate shadow`: recent requests answered by the release in production and by a candidate, side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.parameters import load_settings
from contracts.home import find_home

if TYPE_CHECKING:
    from release.shadow.shadow import ShadowReport

TITLE_WIDTH = 38


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(shadow)


def shadow(
    version: Annotated[int, typer.Argument(help="The version's number: see `slate releases`.")],
    *,
    requests: Annotated[int, typer.Option(help="Requests replayed, the latest.", min=1, max=100_000)] = 200,
    golden: Annotated[bool, typer.Option("--golden", help="Replay production's golden queries instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay recent requests against production and a candidate; nobody is shown anything."""
    from release.promotion.promotion import Promoter
    from release.shadow.shadow_run import shadow_version

    report = shadow_version(Promoter.open(load_settings(), find_home()), version, requests, golden=golden)
    print(json.dumps(report.to_json(), sort_keys=True) if as_json else _as_text(report))


def _as_text(report: ShadowReport) -> str:
    told = report.to_json()
    lines = [
        f"{told['requests']} requests answered by both, {told['unanswerable']} about items that one does not know",
        "",
        f"{'tier':12}{'requests':>9}{'overlap':>9}{'RBO':>8}{'tau':>8}{'identical':>11}",
        _row("all", told["requests"], told["all"]),
        *(_row(tier, values["requests"], values) for tier, values in told["tiers"].items()),
        "",
        f"{'':12}{'release':18}{'p50':>9}{'p95':>9}{'p99 ms':>9}{'degraded':>10}",
        *(_side(name, told[name]) for name in ("production", "candidate") if told[name]),
    ]
    for one in told["most_different"]:
        lines += ["", *_slates(one)]
    return "\n".join(lines)


def _row(name: str, n_requests: int, values: dict[str, Any]) -> str:
    return (
        f"{name:12}{n_requests:>9}{_number(values['overlap']):>9}{_number(values['rank_biased_overlap']):>8}"
        f"{_number(values['kendall_tau']):>8}{_number(values['identical_share']):>11}"
    )


def _side(name: str, values: dict[str, Any]) -> str:
    times = "".join(f"{values[f'p{q}_ms']:>9.2f}" for q in (50, 95, 99))
    return f"{name:12}{values['release_id']:18}{times}{values['degraded']:>10}"


def _slates(one: dict[str, Any]) -> list[str]:
    who = one["user_id"] or one["session_id"] or "a newcomer"
    head = f"request {one['request_id']} of {who}, tier {one['tier']}, RBO {one['rank_biased_overlap']:.3f}"
    ours, theirs = one["production"], one["candidate"]
    longer = max(len(ours), len(theirs))
    return [head] + [
        f"{at + 1:>4}  {_title(ours, at):{TITLE_WIDTH + 2}}{_title(theirs, at)}".rstrip() for at in range(longer)
    ]


def _title(items: list[dict[str, str]], at: int) -> str:
    title = items[at]["title"] if at < len(items) else ""
    return title if len(title) <= TITLE_WIDTH else title[: TITLE_WIDTH - 1] + "…"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
