"""What a rule does to slates and to NDCG, where both are known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contracts.errors import UnknownId, WrongInput
from contracts.slates import RecommendRequest
from release.evaluation.cases import EvaluationCase
from release.evaluation.rule_effects import RuleEffect, rule_effects
from release.evaluation.summary import Bootstrap
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import NOW, made_up_reader, made_up_release

# Nobody known gets twelve items in the order of their index; the first six are comedies. Item 6 is wanted.
CASE = EvaluationCase("u9", RecommendRequest("q"), NOW, np.array([6], np.int32))
RULES = {
    "grave": {"block": '"comedy" in categories'},
    "idle": {"boost": "release_year > 2000", "strength": 1.0},
}


def effects(placements: dict[str, Any], placement: str = "cart") -> list[RuleEffect]:
    release = with_placements(made_up_release(), placements)
    return rule_effects(release, made_up_reader(), {"cold": (CASE, CASE)}, placement, Bootstrap(50, 7))


def test_a_rule_that_brings_what_is_wanted_from_the_seventh_to_the_first_place_gains_two_thirds() -> None:
    grave, idle = effects({"cart": {"rules": RULES}})
    assert (grave.rule, grave.group, grave.n_slates, grave.n_changed) == ("grave", "cold", 2, 2)
    assert grave.ndcg == 1.0
    assert grave.gain.mean == pytest.approx(1 - 1 / np.log2(1 + 7))
    assert grave.share_replaced == pytest.approx(2 / 6)  # of six dramas, the last two are not among the best ten
    assert (idle.n_changed, idle.share_replaced, idle.gain.mean) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("placement", "refusal", "problem"),
    [
        ("home", WrongInput, "Placement home has no rules to try"),
        ("item", WrongInput, "Placement item stands beside an item"),
        ("crat", UnknownId, "has no placement 'crat'"),
    ],
)
def test_a_placement_that_cannot_be_tried_is_refused(placement: str, refusal: type[Exception], problem: str) -> None:
    with pytest.raises(refusal, match=problem):
        effects({"cart": {"rules": RULES}}, placement)
