"""A slate in the event log: one record for all of its impressions (docs/formats/redis.md).

    {"event_type": "slate", "format_version": 1, "event_ts", "request_id", "user_id", "session_id", "surface",
     "policy_id", "release_id", "generation_id", "arm", "tier", "degraded", "item_ids": [...], "propensity": ...}

`filter` beside these where the slate was made under one, `placement` where the request named one. The items stand in
their order, from position 1.
`propensity`: one number where all have the same, else one for each item. Before, each impression was a record of its
own, with `item_id`, `position` and `event_id`; logs hold both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.events import EventType

SLATE: Final = "slate"  # the `event_type` of such a record
FORMAT_VERSION: Final = 1


def slate_record(common: Mapping[str, Any], item_ids: Sequence[str], propensities: Sequence[float]) -> dict[str, Any]:
    """The record of a slate. common: the fields that its impressions share, and no others."""
    is_alike = len(set(propensities)) == 1
    return {
        "event_type": SLATE,
        "format_version": FORMAT_VERSION,
        **common,
        "item_ids": item_ids,
        "propensity": propensities[0] if is_alike else propensities,
    }


def impressions_of(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The impressions of a slate's record, as they are where each has a record of its own.

    Raises ValueError, TypeError or KeyError for what is no such record, or one of a later version.
    """
    common = {name: value for name, value in record.items() if name not in {"format_version", "item_ids"}}
    if record["event_type"] != SLATE or record["format_version"] != FORMAT_VERSION:
        raise ValueError(f"a record {record['event_type']!r} of version {record['format_version']!r}")
    item_ids, told = record["item_ids"], record["propensity"]
    propensities = told if isinstance(told, list) else [told] * len(item_ids)
    for position, (item_id, propensity) in enumerate(zip(item_ids, propensities, strict=True), start=1):
        yield {
            **common,
            "event_type": EventType.IMPRESSION,
            "event_id": f"{record['request_id']}:{position}",
            "item_id": item_id,
            "position": position,
            "propensity": propensity,
        }


def single_records(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The impressions of a slate's record, and any other record itself. Raises as `impressions_of` does."""
    if record.get("event_type") == SLATE:
        yield from impressions_of(record)
    else:
        yield record
