"""The table of reasons: each feature of the ranker belongs to one group, and a group has the sentence it is told in.

A group's sentence is given where what its features add to the score is more than nothing, the score is less without
them, and the values support every word of it (`recommender.slates.explanation`). Groups without a sentence are told in
numbers alone (`slate why`): what a person is like is no reason that one would want to be given, and that an item's
price is 12 speaks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from recommender.slates.reason_facts import ReasonFacts

# A category is liked when it takes this much more of somebody's taste than of the catalogue.
LIKED_LIFT: Final = 1.2
LIKE_THE_LAST: Final = 0.6  # cosine from which a text is much like another
NEAR_YEARS: Final = 5
MOSTLY: Final = 0.5  # the share of what somebody chose that stands for most of it
FEW_EVENTS: Final = 5  # fewer are no trend
RISING: Final = 1.5  # times as much as if every day were alike
FRESH_DAYS: Final = 1.0  # how old a published row may be for what it says of this week
ALL_TIME, OF_LATE = "popular", ("popular_recent", "popular_returning", "popular_newcomers")
BY_ORDER = ("next_visit",)
TOGETHER = ("covisitation", "covisitation_max", "ease", "graph_filter")
_COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Group(StrEnum):
    """What the features of one group speak of, as `slate why` names it."""

    SESSION = "this visit"
    TOGETHER = "chosen together"
    ORDER = "chosen next"
    CATEGORIES = "categories"
    CONTENT = "descriptions"
    TASTE = "people with that taste"
    SEGMENT = "circumstances"
    PERIOD = "years"
    PRICE = "prices"
    NEWNESS = "newness"
    TREND = "trend"
    POPULARITY = "popularity"
    AGREEMENT = "best place among generators"
    VALUES = "values"
    AUDIENCE = "audience"
    PERSON = "who asks"
    ITEM = "the item itself"
    OTHERS = "other generators"


@dataclass(frozen=True)
class ReasonGroup:
    """features: patterns of their names (`fnmatch`); sentence: what is told of the item at a place of the facts, None
    where the facts do not support it. proposers: the generators that the sentence speaks for where they proposed it."""

    features: tuple[str, ...]
    sentence: Callable[[ReasonFacts, int], str | None] = lambda _facts, _at: None
    proposers: tuple[str, ...] = ()


def _in_this_visit(facts: ReasonFacts, at: int) -> str | None:
    return "Fits what you chose just now" if facts.value("pair_category_affinity_session", at) > 0 else None


def _chosen_together(facts: ReasonFacts, at: int) -> str | None:
    source = facts.speaking_title("covisitation_max", at)
    if source is None:
        return None
    if facts.is_beside_an_item(at):
        return f"More like {source.title}"
    return f"Because you like {source.title}" if source.is_stated else f"Because you chose {source.title}"


def _chosen_next(facts: ReasonFacts, at: int) -> str | None:
    source = facts.speaking_title("next_visit", at) if facts.is_ranked else None
    return None if source is None or source.is_stated else f"Often chosen next after {source.title}"


def _of_categories(facts: ReasonFacts, at: int) -> str | None:
    liked = facts.liked_category(at, LIKED_LIFT)
    if liked is None:
        return None
    for days, when in ((7, "this week"), (30, "this month")) if facts.is_ranked else ():
        count, verb = facts.chosen_of_category(at, liked, days)
        if count > 1:
            number = _COUNTED[count] if count < len(_COUNTED) else str(count)
            return f"Because you {verb} {number} in {facts.category_name(liked)} {when}"
    return f"Because you like {facts.category_name(liked)}"


def _described_alike(facts: ReasonFacts, at: int) -> str | None:
    last = facts.last_title(at)
    is_alike = facts.value("pair_content_similarity_last", at) >= LIKE_THE_LAST
    return f"Described much like {last}" if is_alike and last is not None else None


def _of_that_taste(facts: ReasonFacts, at: int) -> str | None:
    is_proposed = "als" in facts.proposed_by(at) and not facts.is_beside_an_item(at)
    return "People with your taste liked it" if is_proposed else None


def _in_these_circumstances(facts: ReasonFacts, at: int) -> str | None:
    told = facts.segment(at) if "popular_segment" in facts.proposed_by(at) else None
    return f"Popular among people like you ({told})" if told is not None else None


def _of_that_period(facts: ReasonFacts, at: int) -> str | None:
    is_near = abs(facts.value("pair_release_year_gap_latest", at)) <= NEAR_YEARS
    return "From about the years of what you chose lately" if is_near else None


def _of_that_price(facts: ReasonFacts, at: int) -> str | None:
    is_usual = facts.value("pair_price_band_share_all", at) >= MOSTLY
    return "Priced like most of what you chose" if is_usual else None


def _new(facts: ReasonFacts, at: int) -> str | None:
    age_days = facts.value("item_age_days", at) + facts.row_age_days(at)
    if age_days <= 7:
        return "New this week"
    return "New this month" if age_days <= 30 else None


def _rising(facts: ReasonFacts, at: int) -> str | None:
    is_rising = facts.value("item_event_trend_7d_of_30d", at) >= RISING * 7 / 30
    is_enough = facts.value("item_event_count_7d", at) >= FEW_EVENTS and facts.row_age_days(at) <= FRESH_DAYS
    return "Chosen more often this week than before" if is_rising and is_enough else None


def _popular(facts: ReasonFacts, at: int) -> str | None:
    proposed_by = facts.proposed_by(at)
    if "popular_segment" in proposed_by:
        return None  # which says more
    if proposed_by & {*OF_LATE}:
        return "Popular this month"
    return "An all-time favourite" if ALL_TIME in proposed_by else None


def _said_by(*generators: str) -> tuple[str, ...]:
    """The features that tell what generators say of an item."""
    return tuple(f"{what}_{name}" for name in generators for what in ("score", "rank"))


# The most personal first: in this order they are told where no ranker says which of them weighs most.
REASON_TABLE: Final[dict[Group, ReasonGroup]] = {
    Group.TOGETHER: ReasonGroup(_said_by(*TOGETHER), _chosen_together, TOGETHER),
    Group.CATEGORIES: ReasonGroup(
        (
            "pair_category_affinity_all",
            "pair_category_affinity_latest",
            "pair_category_lift_*",
            "pair_category_recency_*",
        ),
        _of_categories,
    ),
    Group.TASTE: ReasonGroup(_said_by("als", "sequence", "two_tower"), _of_that_taste, ("als",)),
    Group.SEGMENT: ReasonGroup(
        ("context_*", *_said_by("popular_segment")), _in_these_circumstances, ("popular_segment",)
    ),
    Group.POPULARITY: ReasonGroup(
        (
            *_said_by(ALL_TIME, *OF_LATE),
            "item_user_count_*",
            "item_event_count_*",
            "item_event_recency_*",
            "item_view_count_*",
            "item_click_count_*",
            "item_add_to_cart_*",
            "item_purchase_*",
        ),
        _popular,
        (ALL_TIME, *OF_LATE),
    ),
    Group.SESSION: ReasonGroup(("pair_category_affinity_session", "session_*"), _in_this_visit),
    Group.ORDER: ReasonGroup(_said_by(*BY_ORDER), _chosen_next),
    Group.CONTENT: ReasonGroup(("pair_content_similarity_*", *_said_by("content", "similar_texts")), _described_alike),
    Group.PERIOD: ReasonGroup(("pair_release_year_gap_*",), _of_that_period),
    Group.PRICE: ReasonGroup(("pair_price_*",), _of_that_price),
    Group.NEWNESS: ReasonGroup(("item_age_days", "item_event_tenure_*", *_said_by("new_arrivals")), _new),
    Group.TREND: ReasonGroup(("item_event_trend_*",), _rising),
    Group.AGREEMENT: ReasonGroup(("pair_rank_best",)),
    Group.VALUES: ReasonGroup(("item_value_*",)),
    Group.AUDIENCE: ReasonGroup(("item_user_age_*", "item_user_female_*")),
    Group.PERSON: ReasonGroup(("user_*", "query_*")),
    Group.ITEM: ReasonGroup(
        ("item_release_*", "pair_release_age_*", "item_category_count", "item_price", "item_price_position")
    ),
}


def group_of(name: str, item_to_item: Collection[str] = ()) -> Group:
    """The group of a feature; item_to_item: further generators of that kind, by name.

    What no pattern names (a generator or a view of a team's own) is of the others.
    """
    named = (
        group
        for group, reason in REASON_TABLE.items()
        if any(fnmatchcase(name, pattern) for pattern in reason.features)
    )
    is_together = name.startswith(("score_", "rank_")) and name.partition("_")[2] in item_to_item
    return next(named, Group.TOGETHER if is_together else Group.OTHERS)


@lru_cache(maxsize=64)  # as many releases as one server ever answers with, and more
def columns_by_group(names: tuple[str, ...], item_to_item: tuple[str, ...] = ()) -> dict[Group, tuple[int, ...]]:
    """The columns of the ranker's input that are of each group; a group without any is left out."""
    columns: dict[Group, list[int]] = {}
    for column, name in enumerate(names):
        columns.setdefault(group_of(name, item_to_item), []).append(column)
    return {group: tuple(columns[group]) for group in Group if group in columns}
