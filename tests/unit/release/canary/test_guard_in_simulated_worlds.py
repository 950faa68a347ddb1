"""The guard in worlds whose truth is known: it ends what is worse, and mostly nothing else, however often it looks."""

import numpy as np
import pytest

from release.canary.guardrails import GUARD_ALPHA, check_guardrails, kept_clicks
from release.canary.sums import CANARY, PRODUCTION
from tests.canary_worlds import LIMITS, Stream

SHARE = 0.3
N_WORLDS = 200
# Clicks end a world with a chance of 2.5% at most, the sample ratio with 0.1%: more than 13 of 200 with one of 0.08%,
# more than 6 of 60 with one of 0.09%.
MOST_ENDED = {200: 13, 60: 6}


def first_crossed(stream):
    """The name of the guardrail that ends the canary, and the canary's people by then; None when it survives."""
    for cells in stream.looks():
        for check in check_guardrails(cells, [SHARE], LIMITS):
            if check.crossed:
                return check.name, int((cells.arm == CANARY).sum())
    return None


def names_ended(click_share, n_worlds=N_WORLDS, **world):
    ended = [first_crossed(Stream(np.random.default_rng(seed), click_share, **world)) for seed in range(n_worlds)]
    return [end[0] for end in ended if end]


def test_a_canary_clicked_half_as_often_is_ended_before_a_thousand_people_had_it():
    for seed in range(10):
        name, n_people = first_crossed(Stream(np.random.default_rng(seed), (0.2, 0.1)))
        assert name == "clicks"
        assert n_people < 1000


def test_a_canary_as_good_as_production_survives_being_looked_at_again_and_again():
    assert len(names_ended((0.2, 0.2), n_worlds=60)) <= MOST_ENDED[60]


def test_a_canary_that_loses_just_what_it_may_survives_as_often_as_promised():
    assert len(names_ended((0.2, 0.18))) <= MOST_ENDED[N_WORLDS]


def test_a_canary_that_loses_just_what_it_may_would_not_survive_intervals_made_for_one_look():
    def crossed(cells):
        difference = kept_clicks(cells, LIMITS)
        return difference is not None and difference.once().high < 0

    streams = (Stream(np.random.default_rng(seed), (0.2, 0.18)) for seed in range(N_WORLDS))
    assert sum(any(crossed(cells) for cells in stream.looks()) for stream in streams) > MOST_ENDED[N_WORLDS]


def test_a_canary_that_does_without_something_at_every_tenth_answer_is_ended():
    for seed in range(5):
        stream = Stream(np.random.default_rng(seed), (0.2, 0.2), degraded_share=(0.01, 0.1))
        assert first_crossed(stream)[0] == "degraded"


def test_answers_degraded_alike_in_both_arms_end_nothing():
    assert names_ended((0.2, 0.2), n_worlds=20, degraded_share=(0.5, 0.5)) == []


@pytest.mark.parametrize("lost", [0.3, 0.6])
def test_people_lost_in_one_arm_are_found(lost):
    for seed in range(5):
        stream = Stream(np.random.default_rng(seed), (0.2, 0.2), lost=lost)
        assert first_crossed(stream)[0] == "sample_ratio"


def test_nothing_is_said_of_clicks_before_enough_people_came():
    few = Stream(np.random.default_rng(0), (0.9, 0.05), n_people=500).cells(500)
    assert int((few.arm == CANARY).sum()) < LIMITS.min_people <= int((few.arm == PRODUCTION).sum())
    lost, degraded, clicks = check_guardrails(few, [SHARE], LIMITS)
    assert [degraded.crossed, clicks.crossed] == [False, False]
    assert "Too early" in clicks.sentence
    assert lost.value is not None
    assert GUARD_ALPHA == 0.05 / 2
