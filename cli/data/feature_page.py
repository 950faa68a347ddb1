"""Prints docs/features.md from the declarations: `make docs`."""

from __future__ import annotations

import sys

from cli.data.features import described_views
from contracts.markdown import markdown_table
from feature_store.view_catalogue import LIVE, ON_DEMAND, PUBLISHED, DescribedView

INTRODUCTION = """# Features

`make docs` prints this page from the declarations: edit those in `feature_store/definitions/` and
`recommender/on_demand/`, not this page ([how to add one](add-a-feature.md)). `slate features list` and
`slate features describe NAME` show the same.

A value is known as of a moment: `as_of - window <= event_ts < as_of`. Past its TTL a stored value is missing, and a
missing value takes its default. A published feature that the training data says nothing of (prices, in films) is left
out of the schema; it costs neither bytes nor time. An on-demand feature that is never known is left out of the ranker's
input.

{n_views} views, {n_features} features.
"""
SECTIONS = {
    PUBLISHED: """## Published

Computed by the feature store: as of each moment in training, and stored per entity for serving.
""",
    LIVE: """## Published, and live

The same, brought up to the moment of the request by what the person did since. An event counts at the next request
([ADR 13](adr/0013-live-counters.md)).
""",
    ON_DEMAND: """## On demand

Computed at the request, by one function in training and in serving, from the history at hand and the catalogue of the
release. What is not known stays missing: the ranker learns what to make of it.
""",
}


def page(views: tuple[DescribedView, ...]) -> str:
    """The whole page."""
    n_features = sum(len(view.features) for view in views)
    parts = [INTRODUCTION.format(n_views=len(views), n_features=n_features)]
    for computed, heading in SECTIONS.items():
        parts.append(heading)
        parts.extend(_view(view) for view in views if view.computed == computed)
    return "\n".join(parts)


def _view(view: DescribedView) -> str:
    facts = f"entity {view.entity} · window: {view.window} · TTL: {view.ttl} · owner: {view.owner}"
    return f"### `{view.name}`\n\n{view.description}\n\n{facts}\n\n{_feature_table(view)}"


def _feature_table(view: DescribedView) -> str:
    rows = [("feature", "where missing", "says")]
    rows += [(f"`{feature.name}`", feature.default, feature.says) for feature in view.features]
    n_columns = 3 if any(feature.says for feature in view.features) else 2
    return markdown_table([row[:n_columns] for row in rows]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(described_views()))
