"""A promotion with every gate as it is shipped; the other tests here time less: see `one_timed_answer`."""

from __future__ import annotations

from release.gates.latency import MIN_ANSWERS
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = FOREIGN_WARNINGS


def test_the_second_release_is_timed_against_the_first_by_as_many_answers_as_make_a_percentile(studio: Studio) -> None:
    assert studio.promoter.promote(1, requester="ada").accepted
    gates = {gate.name: gate for gate in studio.promoter.promote(2, requester="ada").gates}
    assert MIN_ANSWERS >= 200  # the 99th percentile of fewer would be the slowest answer or the one after it
    assert (gates["latency"].n or 0) >= MIN_ANSWERS
    assert gates["ndcg"].passed
