"""A request whose filter a release cannot apply is none that both can answer; it is counted, and nothing stops."""

from __future__ import annotations

import pytest

from contracts.filters import Condition, Operator
from contracts.slates import RecommendRequest
from release.shadow.shadow import ReplayedRequest, Side, replay
from tests.unit.release.made_up_release import NOW, made_up_reader, made_up_release


@pytest.mark.parametrize(
    "wanted",
    [Condition("attributes.size", Operator.EQUALS, "XL"), Condition("in_stock", Operator.EQUALS, "yes")],
    ids=["a field it has not", "a field of another type"],
)
def test_a_filter_that_the_candidate_cannot_apply_is_counted(wanted: Condition) -> None:
    side = Side(made_up_release(), made_up_reader())
    requests = [ReplayedRequest(RecommendRequest("q", filter=wanted)), ReplayedRequest(RecommendRequest("r"))]
    report = replay(side, side, requests, NOW)
    assert (len(report.pairs), report.n_unanswerable) == (1, 1)
