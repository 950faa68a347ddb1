"""The gates that compare, on made-up figures per person, so that every verdict follows by arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.settings.promotion import PromotionSettings
from contracts.settings.settings import load_settings
from release.bundle.open_bundle import OpenBundle
from release.evaluation.cases import COLD_SESSION, WARM
from release.evaluation.comparison import Comparison
from release.evaluation.evaluation import SLATES, Evaluation
from release.evaluation.summary import Bootstrap
from release.gates.gate import Gate
from release.gates.quality_gates import COMPARED, QualityGates

AS_GOOD = {"ndcg": 0.3, "diversity": 0.8, "novelty": 2.0, "popularity_share": 0.2}
N_PEOPLE = 40


def evaluation(coverage: float = 0.1, newcomers: float = 0.4, **warm: float) -> Evaluation:
    """Everybody alike; warm: figures of people with history; newcomers: NDCG after their first clicks."""
    figures = {WARM: AS_GOOD | warm, COLD_SESSION: AS_GOOD | {"ndcg": newcomers}}
    rows: list[dict[str, Any]] = [
        {"group": group, "system": SLATES, "user_id": f"u{number}"} | {f"{name}_at_10": one for name, one in of.items()}
        for group, of in figures.items()
        for number in range(N_PEOPLE)
    ]
    covered = [{"group": group, "system": SLATES, "coverage_at_10": coverage} for group in figures]
    return Evaluation(pl.DataFrame(rows), pl.DataFrame(covered), ())


def ask(challenger: Evaluation, champion: Evaluation | None = None, **changes: Any) -> dict[str, Gate]:
    settings: PromotionSettings = load_settings(Path("params.yaml")).promotion.model_copy(update=changes)
    gates = QualityGates(settings, Bootstrap(100, seed=7))
    found = gates.against_champion(Comparison(challenger, champion or evaluation()))
    return {gate.name: gate for gate in found}


def failed(gates: dict[str, Gate]) -> set[str]:
    return {name for name, gate in gates.items() if not gate.passed}


def test_two_alike_pass_every_gate_in_the_order_that_is_told() -> None:
    gates = ask(evaluation())
    assert tuple(gates) == COMPARED
    assert failed(gates) == set()


@pytest.mark.parametrize(("ndcg", "refused"), [(0.251, set()), (0.249, {"ndcg"})])
def test_less_than_the_margin_may_be_lost(ndcg: float, refused: set[str]) -> None:
    assert failed(ask(evaluation(ndcg=ndcg), max_ndcg_loss=0.05)) == refused


@pytest.mark.parametrize(("ndcg", "refused"), [(0.301, set()), (0.3, {"ndcg"})])
def test_superiority_asks_for_a_gain(ndcg: float, refused: set[str]) -> None:
    assert failed(ask(evaluation(ndcg=ndcg), rule="superiority")) == refused


def test_newcomers_who_lose_are_not_hidden_behind_people_with_history_who_gain() -> None:
    gates = ask(evaluation(ndcg=0.9, newcomers=0.34), max_tier_loss=0.05)
    assert failed(gates) == {"ndcg_cold_session"}
    gate = gates["ndcg_cold_session"]
    assert (gate.value, gate.threshold, gate.n) == (pytest.approx(-0.06), -0.05, N_PEOPLE)


def test_a_group_is_judged_from_so_many_people_on() -> None:
    challenger = evaluation(newcomers=0.0)
    assert failed(ask(challenger, min_people=N_PEOPLE)) == {"ndcg_cold_session"}
    gate = ask(challenger, min_people=N_PEOPLE + 1)["ndcg_cold_session"]
    assert (gate.verdict, gate.passed) == ("not judged", True)
    assert gate.sentence == (
        "Not judged: 40 visitors after their first clicks are too few, below 41 this gate keeps nobody out "
        "(promotion.min_people)."
    )


def test_a_failed_gate_says_both_numbers_that_were_compared() -> None:
    gate = ask(evaluation(ndcg=0.249), max_ndcg_loss=0.05)["ndcg"]
    assert gate.sentence.endswith("the lower end of the 95% interval is -0.0510, and must be above -0.0500.")
    broken = ask(evaluation(diversity=0.71), max_relative_loss_diversity=0.1)["diversity"]
    assert broken.sentence.startswith("Diversity of the slates is 0.7100, at least 0.7200 is asked")
    popular = ask(evaluation(popularity_share=0.31), max_popularity_share_gain=0.1)["popularity_share"]
    assert "take 0.3100 of the places, at most 0.3000 is allowed" in popular.sentence


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"diversity": 0.71}, "diversity"),
        ({"novelty": 1.69}, "novelty"),
        ({"coverage": 0.069}, "coverage"),
        ({"popularity_share": 0.31}, "popularity_share"),
    ],
)
def test_each_loss_limit_alone_refuses_what_is_paid_with_it(changes: dict[str, float], gate: str) -> None:
    margins = {
        "max_relative_loss_diversity": 0.1,
        "max_relative_loss_novelty": 0.15,
        "max_relative_loss_coverage": 0.3,
        "max_popularity_share_gain": 0.1,
    }
    assert failed(ask(evaluation(ndcg=0.9, **changes), **margins)) == {gate}
    assert failed(ask(evaluation(), evaluation(**changes), **margins)) == set()


def test_a_release_of_before_that_calls_its_slates_a_chain_is_judged_by_its_floor() -> None:
    bundle = OpenBundle(Path("tests/golden/bundle_v1"))
    settings = load_settings(Path("params.yaml")).promotion.model_copy(update={"min_ndcg": 0.0})
    floor = next(gate for gate in QualityGates(settings, Bootstrap(100, seed=7)).evaluate(bundle, None))
    assert (floor.name, floor.passed) == ("floor", True)
    assert floor.n


def test_every_gate_that_compares_names_its_limit_as_params_yaml_does() -> None:
    settings = load_settings(Path("params.yaml"))
    for gate in ask(evaluation()).values():
        if gate.judged:
            (limit,) = gate.limits
            group, _, name = limit.partition(".")
            assert hasattr(getattr(settings, group), name), limit
