"""`slate diff A B`: what differs between two releases, and how differently they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.home import find_home

if TYPE_CHECKING:
    from release.difference import FeatureDifference, ReleaseDifference
    from release.golden.golden_difference import GoldenDifference

MOST_QUERIES = 5  # shown, the least alike first; --json has all
ReleaseName = Annotated[
    str, typer.Argument(help="A release id, a version's number, `production`, `staging`, or a folder.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(diff)


def diff(a: ReleaseName, b: ReleaseName, *, as_json: AsJson = False) -> None:
    """Show what differs between releases A and B: data, code, parameters, features, metrics, golden slates."""
    from contracts.progress import working
    from release.difference import compare_bundles
    from release.lookup import find_bundle

    home, app = find_home(), load_settings().app
    with working("slate diff: both releases are loaded, and answer their golden queries"):
        difference = compare_bundles(find_bundle(a, home, app), find_bundle(b, home, app))
    print_result(difference.to_json(), as_json, "\n".join(_difference_lines(difference)))


def _difference_lines(difference: ReleaseDifference) -> Iterator[str]:
    if difference.releases[0] == difference.releases[1]:
        yield f"{difference.releases[0]}: one release, equal in everything"
        return
    yield f"{difference.releases[0]} -> {difference.releases[1]}"
    if difference.equal:
        yield f"equal: {', '.join(difference.equal)}"
    yield from _section_lines("data", difference.data)
    yield from _section_lines("code", difference.code)
    yield from _section_lines("params", difference.params)
    for entity, features in difference.features.items():
        yield from _feature_lines(entity, features)
    yield from _section_lines("dimensions", difference.dimensions)
    yield from _section_lines("artefacts", difference.artefacts)
    yield from _metric_lines(difference.metrics, same_people=difference.same_people)
    yield from _golden_lines(difference.golden)


def _section_lines(title: str, pairs: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    if pairs:
        yield f"\n{title}"
        yield from _table_lines(
            [(name, _value_text(was), "->", _value_text(now)) for name, (was, now) in pairs.items()]
        )


def _feature_lines(entity: str, difference: FeatureDifference) -> Iterator[str]:
    yield f"\nfeatures of {entity}s"
    yield from (f"  + {name}" for name in difference.added)
    yield from (f"  - {name}" for name in difference.removed)
    changes = [
        (name, of, _value_text(was), "->", _value_text(now))
        for name, pairs in difference.changed.items()
        for of, (was, now) in pairs.items()
    ]
    yield from _table_lines(changes)
    if difference.reordered:
        yield "  in another order"


def _metric_lines(metrics: Mapping[str, Mapping[str, Sequence[float]]], *, same_people: bool) -> Iterator[str]:
    if not metrics:
        return
    yield "\nmetrics" if same_people else "\nmetrics, measured on other people: not comparable"
    yield from _table_lines(
        [
            (group, name, _value_text(was), "->", _value_text(now), f"{change:+.4g}")
            for group, of_group in metrics.items()
            for name, (was, now, change) in of_group.items()
        ]
    )


def _golden_lines(golden: GoldenDifference) -> Iterator[str]:
    n_queries = len(golden.queries)
    yield f"\ngolden slates: {golden.n_identical} of {n_queries} identical"
    if golden.n_identical < n_queries:
        yield f"  overlap@10 {golden.overlap:.2f}, rank-biased overlap {golden.rank_biased_overlap:.2f}, on average"
    for entity, names in golden.defaulted.items():
        yield f"  of {entity}s the second has no {', '.join(names)}: the first answered with its defaults"
    differing = sorted(
        (query for query in golden.queries if not query.identical), key=lambda query: query.rank_biased_overlap
    )
    yield from _table_lines(
        [
            (query.request_id, f"{query.overlap:.0%} in common", _tier_text(query.tiers), query.unanswered)
            for query in differing[:MOST_QUERIES]
        ]
    )
    if len(differing) > MOST_QUERIES:
        yield f"  and {len(differing) - MOST_QUERIES} more, at least as alike"


def _tier_text(tiers: tuple[str, str]) -> str:
    return tiers[1] if tiers[0] == tiers[1] else f"{tiers[0]} -> {tiers[1]}"


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)


def _table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows below a title; nothing without rows."""
    if rows:
        yield aligned(rows, indent="  ")
