"""`slate shadow`: recent requests answered by the release in production and by a release candidate, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.counted import decimal_text
from contracts.home import find_home

if TYPE_CHECKING:
    from release.shadow.shadow import ShadowReport

TITLE_WIDTH = 38
MEASURES = {"overlap": "overlap", "rank_biased_overlap": "RBO", "kendall_tau": "tau", "identical_share": "identical"}


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(shadow)


def shadow(
    version: Annotated[int, typer.Argument(help="The version's number: see `slate releases`.")],
    *,
    requests: Annotated[int, typer.Option(help="Requests replayed, the latest.", min=1, max=100_000)] = 200,
    golden: Annotated[bool, typer.Option("--golden", help="Replay production's golden queries instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay recent requests against production and a release candidate, and compare; nobody is shown the results."""
    from release.promotion.promotion import Promoter
    from release.shadow.shadow_run import shadow_version

    report = shadow_version(Promoter.open(load_settings(), find_home()), version, requests, golden=golden)
    print_result(report.to_json(), as_json, _report_text(report))


def _report_text(report: ShadowReport) -> str:
    figures = report.to_json()
    n_unknown = figures["unanswerable"]
    lines = [
        f"{figures['requests']} requests answered by both, {n_unknown} about items that one does not know",
        "",
        _likeness_table(figures),
        "",
        _latency_table(figures),
    ]
    for pair in figures["most_different"]:
        lines += ["", *_slate_lines(pair)]
    return "\n".join(lines)


def _likeness_table(figures: dict[str, Any]) -> str:
    tiers = {"all": {"requests": figures["requests"], **figures["all"]}, **figures["tiers"]}
    rows = [
        (tier, values["requests"], *(decimal_text(values[measure]) for measure in MEASURES))
        for tier, values in tiers.items()
    ]
    return aligned([("tier", "requests", *MEASURES.values()), *rows], n_left=1)


def _latency_table(figures: dict[str, Any]) -> str:
    rows = [
        (name, values["release_id"], *(f"{values[f'p{q}_ms']:.2f}" for q in (50, 95, 99)), values["degraded"])
        for name, values in ((name, figures[name]) for name in ("production", "candidate"))
        if values
    ]
    return aligned([("", "release", "p50", "p95", "p99 ms", "degraded"), *rows], n_left=2)


def _slate_lines(pair: dict[str, Any]) -> list[str]:
    who = pair["user_id"] or pair["session_id"] or "a newcomer"
    head = f"request {pair['request_id']} of {who}, tier {pair['tier']}, RBO {pair['rank_biased_overlap']:.3f}"
    ours, theirs = pair["production"], pair["candidate"]
    longer = max(len(ours), len(theirs))
    rows = [(f"{at + 1:>2}", _title_at(ours, at), _title_at(theirs, at)) for at in range(longer)]
    return [head, aligned(rows, indent="  ")]


def _title_at(items: list[dict[str, str]], at: int) -> str:
    title = items[at]["title"] if at < len(items) else ""
    return title if len(title) <= TITLE_WIDTH else title[: TITLE_WIDTH - 1] + "…"
