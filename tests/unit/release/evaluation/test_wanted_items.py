from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from contracts.clock import FixedClock
from contracts.features import Person
from contracts.ids import UserId
from contracts.slates import RecommendRequest
from release.answering.request_path import answer_many
from release.bundle.bundle import Release
from release.evaluation.cases import COLD_POPULAR, WARM, EvaluationCase
from release.evaluation.evaluation import SLATES, Evaluation, evaluate, values_of
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.stages import CANDIDATES_RECALL, generator_shares, misses, stages_of_people
from tests.unit.release.made_up_release import ITEM_IDS, N_ITEMS, NOW, QUOTAS, made_up_reader, made_up_release

HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i20", "i21"], "u3": ["i15"]}
EVERY_ITEM = range(N_ITEMS)
FEW = {"content": 2, "covisitation": 2, "popular": 3}


def case(user_id: str | None, relevant: Sequence[int], k: int = 4) -> EvaluationCase:
    request = RecommendRequest(f"of/{user_id}", user_id=None if user_id is None else UserId(user_id), k=k)
    return EvaluationCase(str(user_id), request, NOW, np.array(relevant, np.int32))


def measured(release: Release, groups: Mapping[str, Sequence[EvaluationCase]]) -> Evaluation:
    items = release.catalogue
    popularity = np.full(N_ITEMS, 0.25, np.float32)
    return evaluate(
        release, made_up_reader(HISTORIES), groups, Judge((2, 4), items.ids, popularity, category_vectors(items))
    )


def traced(release: Release, groups: Mapping[str, Sequence[EvaluationCase]]) -> pl.DataFrame:
    wanted = measured(release, groups).wanted
    assert wanted is not None
    return wanted


class Candidates:
    """Keeps what the ranker was handed for each request."""

    def __init__(self) -> None:
        self.by_user: dict[str, set[str]] = {}

    def note_people(self, requests: Sequence[RecommendRequest], people: Sequence[Person], now: Any) -> None:
        pass

    def note_shown(self, *_noted: Any) -> None:
        pass

    def note_items(self, requests: Any, item_ids: Any, rows: Any, candidates: Any) -> None:
        for request, own in zip(requests, candidates, strict=True):
            self.by_user[str(request.user_id)] = {item_ids[at] for at in own.tolist()}


def handed_to_the_ranker(release: Release, cases: Sequence[EvaluationCase]) -> dict[str, set[str]]:
    kept = Candidates()
    answer_many(release, made_up_reader(HISTORIES), FixedClock(NOW), [one.request for one in cases], kept)
    return kept.by_user


def items_where(wanted: pl.DataFrame, column: str) -> dict[str, set[str]]:
    chosen = wanted.filter(pl.col(column))
    by_user = {str(user_id): set[str]() for user_id in wanted["user_id"].unique()}
    for user_id, item_idx in chosen.select("user_id", "item_idx").iter_rows():
        by_user[user_id].add(ITEM_IDS[item_idx])
    return by_user


@pytest.mark.parametrize("n_ranked", [12, 5])
@pytest.mark.parametrize("quotas", [QUOTAS, FEW])
class TestThePathItself:
    """Everybody wants every item, so that what became of the wanted items is what became of all."""

    CASES = tuple(case(user_id, EVERY_ITEM) for user_id in HISTORIES)

    def release(self, n_ranked: int, quotas: Mapping[str, int], **left_out: int) -> Release:
        return made_up_release().with_rules(n_ranked=n_ranked, quotas={**quotas, **left_out})

    def test_the_candidates_are_those_that_the_ranker_is_handed(self, n_ranked: int, quotas: dict[str, int]) -> None:
        release = self.release(n_ranked, quotas)
        wanted = traced(release, {WARM: self.CASES})
        expected = handed_to_the_ranker(release, self.CASES)
        assert items_where(wanted, "is_candidate") == expected
        sizes = dict(wanted.select("user_id", "n_candidates").unique().iter_rows())
        assert sizes == {user_id: len(items) for user_id, items in expected.items()}

    def test_without_a_generator_they_are_those_of_a_release_that_does_not_ask_it(
        self, n_ranked: int, quotas: dict[str, int]
    ) -> None:
        wanted = traced(self.release(n_ranked, quotas), {WARM: self.CASES})
        for name in quotas:
            expected = handed_to_the_ranker(self.release(n_ranked, quotas, **{name: 0}), self.CASES)
            assert items_where(wanted, f"without_{name}") == expected, name

    def test_what_is_proposed_is_what_would_be_kept_if_there_were_room(
        self, n_ranked: int, quotas: dict[str, int]
    ) -> None:
        wanted = traced(self.release(n_ranked, quotas), {WARM: self.CASES})
        assert items_where(wanted, "is_proposed") == handed_to_the_ranker(self.release(500, quotas), self.CASES)

    def test_what_is_shown_is_a_candidate_at_the_position_of_the_slate(
        self, n_ranked: int, quotas: dict[str, int]
    ) -> None:
        release = self.release(n_ranked, quotas)
        wanted = traced(release, {WARM: self.CASES})
        slates = answer_many(release, made_up_reader(HISTORIES), FixedClock(NOW), [one.request for one in self.CASES])
        shown = wanted.filter(pl.col("position") > 0).sort("user_id", "position")
        assert shown["is_candidate"].all()
        expected = [item.item_id for slate in slates for item in slate.items]
        assert [ITEM_IDS[item_idx] for item_idx in shown["item_idx"]] == expected


def test_a_stranger_is_traced_through_the_generators_of_their_tier_alone() -> None:
    groups = {WARM: (case("u1", [11, 3]),), COLD_POPULAR: (case(None, [0, 11]),)}
    wanted = traced(made_up_release().with_rules(quotas=FEW | {"popular_recent": 2}), groups)
    strangers = wanted.filter(pl.col("group") == COLD_POPULAR)
    # popular_recent is asked for 4, as many as the slate holds, and so is popular, which fills: items 0 to 3.
    assert strangers.select("item_idx", "is_candidate", "n_candidates").rows() == [(0, True, 4), (11, False, 4)]
    assert strangers["by_content"].is_null().all()
    assert {name for name, _ in generator_shares(wanted, COLD_POPULAR)} == {"popular", "popular_recent"}


def test_the_recall_of_the_candidates_stands_beside_the_metrics_of_the_slates_and_of_each_generator_asked() -> None:
    # u1 has seen 0, 1 and 2: popular proposes 3, 4 and 5, covisitation what goes with 2, content comedies.
    found = measured(made_up_release().with_rules(quotas=FEW), {WARM: (case("u1", [4, 11, 10]),)})
    assert values_of(found.per_person, WARM, SLATES, CANDIDATES_RECALL) == pytest.approx([1 / 3])
    assert values_of(found.per_person, WARM, "popular", CANDIDATES_RECALL) == pytest.approx([1 / 3])
    assert len(values_of(found.per_person, WARM, "popular_recent", CANDIDATES_RECALL)) == 0  # it has no quota


def test_where_generators_are_not_judged_alone_nothing_is_traced() -> None:
    release = made_up_release()
    items = release.catalogue
    judge = Judge((2,), items.ids, np.full(N_ITEMS, 0.25, np.float32), category_vectors(items))
    found = evaluate(release, made_up_reader(HISTORIES), {WARM: (case("u1", [11]),)}, judge, alone=())
    assert found.wanted is None
    assert CANDIDATES_RECALL not in found.metrics


WANTED = pl.DataFrame(
    # Of u1's five items, four are proposed, three are kept, and one is shown, second.
    [
        ("warm", "u1", 1, 2, True, True, 7, True, True),
        ("warm", "u1", 2, 0, True, True, 7, True, False),
        ("warm", "u1", 3, 0, True, True, 7, False, True),
        ("warm", "u1", 4, 0, True, False, 7, True, False),
        ("warm", "u1", 5, 0, False, False, 7, False, False),
        ("warm", "u2", 1, 1, True, True, 9, True, True),
    ],
    schema=[
        "group", "user_id", "item_idx", "position", "is_proposed", "is_candidate", "n_candidates", "by_als",
        "without_als",
    ],
    orient="row",
)  # fmt: skip


def test_the_stages_are_shares_of_what_a_person_wanted() -> None:
    first, second = stages_of_people(WANTED, (1, 2)).rows(named=True)
    assert first == {
        "group": "warm",
        "user_id": "u1",
        "n_candidates": 7,
        "proposed": 4 / 5,
        "candidates": 3 / 5,
        "best_order_at_1": 1 / 5,
        "best_order_at_2": 2 / 5,
        "shown_at_1": 0 / 5,
        "shown_at_2": 1 / 5,
    }
    assert second["best_order_at_2"] == second["shown_at_1"] == 1


def test_what_is_lost_at_each_stage_and_what_is_shown_make_the_whole() -> None:
    people = stages_of_people(WANTED, (1, 2))
    shares = {name: float(people[name].mean()) for name in people.columns[3:]}  # type: ignore[arg-type]
    missed = misses(shares, 2)
    assert missed == pytest.approx(
        {"retrieval": (1 / 5) / 2, "n_ranked": (1 / 5) / 2, "k": (1 / 5) / 2, "ranking": (1 / 5) / 2}
    )
    assert sum(missed.values()) + shares["shown_at_2"] == pytest.approx(1)


def test_a_generator_adds_alone_what_it_proposes_and_last_what_is_lost_without_it() -> None:
    ((name, shares),) = generator_shares(WANTED, "warm")
    assert name == "als"
    # Alone it proposes three of u1's five; of the candidates, only item 2 would be missing.
    assert shares.rows() == [("u1", 3 / 5, 1 / 5), ("u2", 1, 0)]
