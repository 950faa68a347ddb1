"""What a release does not know is refused with a sentence: items and categories."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from contracts.errors import UnknownId
from contracts.slates import RecommendRequest
from release.bundle import Release

SHOWN_IDS = 5
SHOWN_LENGTH = 80


def check_known(release: Release, request: RecommendRequest) -> None:
    """Raise UnknownId when the question names an item or a category that the release does not hold."""
    anchor = [] if request.item_id is None else [request.item_id]
    check_items([release], [*anchor, *request.preferences.item_ids])
    check_categories(release, request.preferences.categories)


def check_items(releases: Sequence[Release], item_ids: Iterable[str]) -> None:
    """Raise UnknownId naming the items that none of the releases holds; the sentence speaks of the first."""
    unknown = [item_id for item_id in item_ids if not any(item_id in release.catalogue.ids for release in releases)]
    if unknown:
        release = releases[0]
        known = release.catalogue.ids
        raise UnknownId(
            f"Release {release.release_id} knows no item {_listed(unknown)}.",
            f"Send ids of its catalogue of {len(known)} items, such as {known.ids[0]!r}.",
        )


def check_categories(release: Release, categories: Iterable[str]) -> None:
    """Raise UnknownId naming the categories that the release does not hold, and the ones it does."""
    known = list(release.catalogue.category_names)
    unknown = [category for category in categories if category not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.5)
        meant = f"Did you mean {close[0]!r}? " if close else ""
        raise UnknownId(
            f"Release {release.release_id} knows no category {_listed(unknown)}.",
            f"{meant}Send some of: {', '.join(known)}.",
        )


def _listed(ids: list[str]) -> str:
    shown = ", ".join(repr(item_id[:SHOWN_LENGTH]) for item_id in ids[:SHOWN_IDS])
    return f"{shown} and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else shown
