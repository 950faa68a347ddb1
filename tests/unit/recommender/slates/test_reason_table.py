"""Each feature of the ranker belongs to exactly one group of the table of reasons."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from feature_store.definitions import ALL_VIEWS
from recommender import on_demand
from recommender.generators.sets import GENERATOR_NAMES
from recommender.slates.reason_table import REASON_TABLE, Group, columns_by_group, group_of

PUBLISHED = [feature.name for view in ALL_VIEWS for feature in view.features]
SAID = [f"{what}_{name}" for name in GENERATOR_NAMES for what in ("score", "rank")]
EVERY = [*PUBLISHED, *on_demand.NAMES, *SAID]
PATTERNS = [pattern for reason in REASON_TABLE.values() for pattern in reason.features]


@pytest.mark.parametrize("name", EVERY)
def test_every_feature_is_of_exactly_one_group(name: str) -> None:
    assert sum(fnmatchcase(name, pattern) for pattern in PATTERNS) == 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_names_a_feature(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in EVERY)


def test_every_group_but_the_others_is_in_the_table() -> None:
    assert set(Group) - REASON_TABLE.keys() == {Group.OTHERS}


def test_a_generator_of_a_teams_own_is_of_the_others_and_further_item_to_item_of_those_chosen_together() -> None:
    assert group_of("score_our_own") is Group.OTHERS
    assert group_of("rank_viewed_together", item_to_item=["viewed_together"]) is Group.TOGETHER
    assert group_of("score_next_visit", item_to_item=["next_visit"]) is Group.ORDER
    assert group_of("score_similar_texts", item_to_item=["similar_texts"]) is Group.CONTENT


def test_the_columns_of_all_groups_are_all_columns_once() -> None:
    columns = columns_by_group(tuple(EVERY))
    assert sorted(column for own in columns.values() for column in own) == list(range(len(EVERY)))
