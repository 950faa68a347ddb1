from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.settings.settings import load_settings
from pipelines.tuning.choice import Finalist, request_cost, winner_among
from pipelines.tuning.winner import params_diff
from recommender.judging.intervals import Interval
from recommender.judging.windows import OverWindows
from release.evaluation.cases import COLD_POPULAR, WARM

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"


def gain(low: float, high: float, n_ahead: int = 3) -> OverWindows:
    """Over four windows, ahead in so many of them."""
    over_people = Interval((low + high) / 2, low, high)
    by_window = tuple(0.1 if window < n_ahead else -0.1 for window in range(4))
    return OverWindows(by_window, over_people, over_people)


def finalist(name: str, warm: OverWindows, newcomers: OverWindows | None = None, cost: float = 1.0) -> Finalist:
    return Finalist(name, {}, {WARM: warm, COLD_POPULAR: newcomers or gain(-0.1, 0.1)}, cost, 4)


@pytest.mark.parametrize(
    ("warm", "newcomers", "objection"),
    [
        (gain(0.001, 0.02), None, None),
        (gain(0.0, 0.02), None, "not wholly above 0"),
        (gain(0.001, 0.02, n_ahead=2), None, "ahead in 2 of 4 windows"),
        (gain(0.001, 0.02), gain(-0.02, -0.001), f"worse for the group {COLD_POPULAR}"),
        (gain(0.001, 0.02), gain(-0.02, 0.0), None),
    ],
)
def test_only_what_passes_every_part_of_the_rule_wins(
    warm: OverWindows, newcomers: OverWindows | None, objection: str | None
) -> None:
    one = finalist("trial 3", warm, newcomers)
    if objection is None:
        assert winner_among([one]) is one
    else:
        assert objection in "; ".join(one.objections())
        assert winner_among([one]) is None


def test_of_those_as_good_as_the_best_the_cheapest_wins_and_what_fails_the_rule_is_no_measure() -> None:
    best, cheap = finalist("best", gain(0.010, 0.030), cost=5), finalist("cheap", gain(0.009, 0.028), cost=2)
    worse, fails = finalist("worse", gain(0.001, 0.02), cost=1), finalist("fails", gain(-0.5, 0.9), cost=0)
    assert winner_among([fails, worse, best, cheap]) is cheap
    assert winner_among([fails, worse, best]) is best
    assert winner_among([]) is None


def test_a_request_costs_more_with_more_candidates_trees_or_leaves() -> None:
    settings = load_settings(PARAMS)
    cost = request_cost(settings)
    ranking, request = settings.ranking, settings.request
    for dearer in (
        {"ranking": ranking.model_copy(update={"n_trees": ranking.n_trees + 1})},
        {"ranking": ranking.model_copy(update={"n_leaves": ranking.n_leaves + 1})},
        {"request": request.model_copy(update={"quotas": {**request.quotas, "als": request.quotas["als"] + 10}})},
    ):
        assert request_cost(settings.model_copy(update=dearer)) > cost
    few = settings.model_copy(update={"request": request.model_copy(update={"n_ranked": 50})})
    assert request_cost(few) < cost


def test_a_finalist_is_held_against_as_many_windows_as_there_were() -> None:
    one = replace(finalist("trial 3", gain(0.001, 0.02, n_ahead=2)), n_windows=3)
    assert one.objections() == []


def test_the_diff_shows_what_changes_beside_what_stays() -> None:
    before, after = b"a: 1 # why\nb: 2\nc: 3\nd: 4\n", b"a: 1 # why\nb: 5\nc: 3\nd: 4\n"
    assert params_diff(before, after) == (
        "--- a/params.yaml\n+++ b/params.yaml\n@@ -1,3 +1,3 @@\n a: 1 # why\n-b: 2\n+b: 5\n c: 3\n"
    )


def test_a_segment_that_proposes_nothing_to_people_with_a_history_costs_their_requests_nothing() -> None:
    settings = load_settings(PARAMS)
    assert not settings.request.segments_of_people
    without = dict(settings.request.quotas, popular_segment=0)
    silent = settings.model_copy(update={"request": settings.request.model_copy(update={"quotas": without})})
    assert request_cost(silent) == request_cost(settings)
    speaking = settings.request.model_copy(update={"segments_of_people": True})
    assert request_cost(settings.model_copy(update={"request": speaking})) > request_cost(settings)
