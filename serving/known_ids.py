"""What a release does not know: a question that names it is refused with a sentence, an event is taken all the same."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from contracts.errors import UnknownId
from contracts.slates import RecommendRequest
from release.answering.placing import place_of
from release.bundle.bundle import Release

SHOWN_IDS = 5
SHOWN_CATEGORIES = 30
SHOWN_LENGTH = 80


def check_known(release: Release, request: RecommendRequest) -> None:
    """Raise UnknownId when the question names an item, a category, a filter's field, a placement or a rule of one that
    the release does not hold.

    Raises WrongInput where its filter compares a field with a value of another type, or an item is named where the
    placement stands beside none, or is missing where it stands beside one.
    """
    if request.placement is not None:
        place_of(release, request)
    anchor = [] if request.item_id is None else [request.item_id]
    _check_items(release, [*anchor, *request.preferences.item_ids])
    check_categories(release, request.preferences.categories)
    if request.filter is not None:
        release.filters.allowed(request.filter)


def unknown_items(releases: Collection[Release], item_ids: Iterable[str]) -> list[str]:
    """The items that none of the releases holds, each once, in the order they came."""
    return [
        item_id
        for item_id in dict.fromkeys(item_ids)
        if not any(item_id in release.catalogue.ids for release in releases)
    ]


def _check_items(release: Release, item_ids: Iterable[str]) -> None:
    unknown = unknown_items([release], item_ids)
    if unknown:
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
            f"{meant}Send some of: {', '.join(known[:SHOWN_CATEGORIES])}{_and_more(known, SHOWN_CATEGORIES)}.",
        )


def _listed(ids: list[str]) -> str:
    shown = ", ".join(repr(item_id[:SHOWN_LENGTH]) for item_id in ids[:SHOWN_IDS])
    return shown + _and_more(ids, SHOWN_IDS)


def _and_more(listed: list[str], n_shown: int) -> str:
    return f" and {len(listed) - n_shown} more" if len(listed) > n_shown else ""
