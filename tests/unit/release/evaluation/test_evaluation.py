from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from math import log, log2
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contracts.errors import ArtefactError
from contracts.id_map import IdMap
from contracts.ids import UserId
from contracts.settings.placements import Placement
from contracts.slates import RecommendRequest
from release.evaluation.cases import COLD_POPULAR, COLD_SESSION, WARM, EvaluationCase
from release.evaluation.evaluation import SLATES, Evaluation, evaluate, values_of
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.report import Tracing, glance, write_report
from release.evaluation.stage_summary import ItemBands
from release.evaluation.summary import (
    Bootstrap,
    best_generator,
    idle_best_generator,
    per_system,
    rules_beside_quotas,
    slices,
    summarise,
)
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import (
    N_ITEMS,
    NOW,
    BrokenRanker,
    clicks,
    made_up_reader,
    made_up_release,
    with_ranker,
)

HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i20", "i21"]}
BOOTSTRAP = Bootstrap(100, seed=7)
WINDOW = (NOW, NOW + timedelta(days=1))


def case(user_id: str, *relevant: int) -> EvaluationCase:
    request = RecommendRequest(f"warm/{user_id}", user_id=UserId(user_id), k=4)
    return EvaluationCase(user_id, request, NOW, np.array(relevant, np.int32))


def judge() -> Judge:
    release = made_up_release()
    return Judge((2, 4), release.catalogue.ids, np.full(N_ITEMS, 0.25, np.float32), category_vectors(release.catalogue))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    stranger = EvaluationCase("u3", RecommendRequest("cold/u3", k=4), NOW, np.array([0], np.int32))
    groups = {WARM: (case("u1", 11, 3), case("u2", 9)), COLD_POPULAR: (stranger,)}
    return evaluate(made_up_release(), made_up_reader(HISTORIES), groups, judge())


def test_the_slates_are_judged_by_hand_arithmetic(evaluation: Evaluation) -> None:
    # u1 is shown 11, 10, 9, 8 and wanted 11 and 3; u2, who has seen 10 and 11, is shown 9, 8, 7, 6 and wanted 9.
    first = 1 / log2(2)
    best_two = 1 / log2(2) + 1 / log2(3)
    assert values_of(evaluation.per_person, WARM, SLATES, "ndcg_at_2") == pytest.approx([first / best_two, 1])
    assert values_of(evaluation.per_person, WARM, SLATES, "recall_at_4") == pytest.approx([1 / 2, 1])
    assert values_of(evaluation.per_person, WARM, SLATES, "mrr_at_4") == pytest.approx([1, 1])
    assert values_of(evaluation.per_person, WARM, SLATES, "novelty_at_4") == pytest.approx([2, 2])  # -log2(0.25)
    assert values_of(evaluation.per_person, WARM, SLATES, "diversity_at_4") == pytest.approx(
        [0, 0], abs=1e-6
    )  # dramas alone


def test_a_slate_is_held_against_the_history_and_a_stranger_has_none(evaluation: Evaluation) -> None:
    # Both have seen comedies alone (u1: 0, 1, 2) or dramas alone (u2: 10, 11), and are shown dramas alone.
    assert values_of(evaluation.per_person, WARM, SLATES, "miscalibration_at_4") == pytest.approx(
        [log(1 / 0.01), 0], abs=1e-6
    )
    assert len(values_of(evaluation.per_person, COLD_POPULAR, SLATES, "miscalibration_at_4")) == 0
    assert "miscalibration_at_4" not in summarise(evaluation, BOOTSTRAP, "ndcg_at_2", WINDOW)[COLD_POPULAR]


def test_each_generator_is_judged_alone_on_the_same_people_without_seen_items(evaluation: Evaluation) -> None:
    # popular shows u1 the items 3, 4, 5, 6: the wanted 3 is first; u2 sees 0, 1, 2, 3 and wanted 9.
    assert values_of(evaluation.per_person, WARM, "popular", "mrr_at_4") == pytest.approx([1, 0])
    assert values_of(evaluation.per_person, COLD_POPULAR, "popular", "hit_rate_at_2") == pytest.approx([1])


def test_an_item_that_the_judge_does_not_know_takes_its_place_and_counts_for_nothing_else() -> None:
    # u1 is shown 11, 10, 9, 8; the judge's catalogue ends with 10, so that the first place is lost.
    release, known = made_up_release(), IdMap.in_order(made_up_release().catalogue.ids.ids[:-1])
    of_known = replace(judge(), item_ids=known, popularity=np.full(len(known), 0.25, np.float32))
    found = evaluate(release, made_up_reader(HISTORIES), {WARM: (case("u1", 10, 3),)}, of_known, alone=())
    best_two = 1 / log2(2) + 1 / log2(3)
    assert values_of(found.per_person, WARM, SLATES, "ndcg_at_2") == pytest.approx([1 / log2(3) / best_two])
    assert values_of(found.per_person, WARM, SLATES, "novelty_at_2") == pytest.approx([2])
    assert found.coverage["coverage_at_4"].to_list() == pytest.approx([3 / 11])
    assert found.per_person["system"].to_list() == [SLATES]


def test_coverage_is_over_everybody_of_the_group(evaluation: Evaluation) -> None:
    rows = evaluation.coverage.filter((pl.col("group") == WARM) & (pl.col("system") == SLATES))
    assert rows["coverage_at_4"].item() == pytest.approx(len({11, 10, 9, 8} | {9, 8, 7, 6}) / N_ITEMS)
    # Sorted, six items stand nowhere, four once and two twice: sum of (2 i - 12 - 1) x over 12 * 8.
    places = [0] * 6 + [1] * 4 + [2] * 2
    expected = sum((2 * rank - 12 - 1) * each for rank, each in enumerate(places, start=1)) / (12 * 8)
    assert rows["gini_at_4"].item() == pytest.approx(expected)


def test_a_generator_with_nothing_to_go_by_is_left_out_of_the_group(evaluation: Evaluation) -> None:
    by_group = evaluation.per_person.group_by("group").agg(pl.col("system").unique())
    systems = {row["group"]: set(row["system"]) for row in by_group.iter_rows(named=True)}
    assert "covisitation" in systems[WARM]
    assert "covisitation" not in systems[COLD_POPULAR]
    assert "popular_segment" not in systems[WARM]  # nobody told their gender


def test_a_session_is_judged_by_what_came_after_its_clicks() -> None:
    request = RecommendRequest("s", session_id="s", k=4)  # type: ignore[arg-type]  # a plain string is a fine id here
    visitor = EvaluationCase("u9", request, NOW, np.array([9], np.int32), clicks("i21", "i20"))
    found = evaluate(made_up_release(), made_up_reader(), {COLD_SESSION: (visitor,)}, judge())
    assert values_of(found.per_person, COLD_SESSION, SLATES, "ndcg_at_2") == pytest.approx([1])
    assert found.per_person["tier"].unique().to_list() == ["session"]
    assert found.per_person["n_seen"].unique().to_list() == [2]


def test_what_a_rule_of_home_blocks_for_some_is_no_candidate_of_theirs_and_one_of_the_others() -> None:
    block = {"block": '"comedy" in categories', "when": 'tier == "popular"'}
    release = with_placements(made_up_release(), {"home": {"rules": {"no-comedies": block}}})
    stranger = EvaluationCase("u3", RecommendRequest("cold/u3", k=4), NOW, np.array([0, 6], np.int32))
    found = evaluate(release, made_up_reader(HISTORIES), {WARM: (case("u1", 3), stranger)}, judge())
    # popular alone shows u1, who has seen 0, 1 and 2, the items from 3 on, and the stranger the dramas: 6 and on.
    assert values_of(found.per_person, WARM, "popular", "mrr_at_4") == pytest.approx([1, 1])
    assert found.wanted is not None
    proposed = found.wanted.select("user_id", "item_idx", "is_proposed").rows()
    assert proposed == [("u1", 3, True), ("u3", 0, False), ("u3", 6, True)]


def test_rules_that_put_items_there_are_a_note_of_the_report() -> None:
    rules = {"house": {"promote": "in_stock", "share": 0.1}, "first": {"pin": "in_stock", "position": 1}}
    note = rules_beside_quotas(Placement.model_validate({"rules": rules}))
    assert note is not None
    assert note.startswith("Candidates of the rules first, house are looked for beside the quotas")
    assert rules_beside_quotas(Placement.model_validate({"rules": {"calm": {"block": "in_stock"}}})) is None


def test_a_degraded_answer_is_not_measured() -> None:
    broken = with_ranker(made_up_release(), BrokenRanker())
    with pytest.raises(ArtefactError, match="warm/u1 had to do without ranker"):
        evaluate(broken, made_up_reader(HISTORIES), {WARM: (case("u1", 11),)}, judge())


def test_the_headline_is_that_of_people_with_history_beside_the_baselines(evaluation: Evaluation) -> None:
    summary = summarise(evaluation, BOOTSTRAP, "ndcg_at_2", WINDOW)
    headline = summary["headline"]
    ours, popular = (values_of(evaluation.per_person, WARM, system, "ndcg_at_2") for system in (SLATES, "popular"))
    assert headline["people"] == 2
    assert headline["ndcg_at_2"] == pytest.approx(ours.mean(), abs=1e-6)
    assert headline["popular"] == pytest.approx(popular.mean(), abs=1e-6)
    assert headline["low"] <= headline["ndcg_at_2"] <= headline["high"]
    gain = summary["ndcg_at_2_gain_over"]["popular"]
    assert gain["mean"] == pytest.approx((ours - popular).mean(), abs=1e-6)
    assert summary[COLD_POPULAR]["people"] == 1


def measured_alone(**values: list[float]) -> Evaluation:
    """An evaluation of people with history: by system, the value of each person."""
    rows = [
        {"group": WARM, "user_id": f"u{person}", "system": system, "ndcg_at_10": value}
        for system, each in values.items()
        for person, value in enumerate(each)
    ]
    covered = pl.DataFrame({"group": [WARM], "system": [SLATES], "coverage_at_10": [0.5]})
    return Evaluation(pl.DataFrame(rows), covered, ("ndcg_at_10",))


RIVALS = {"slates": [0.4, 0.5], "als": [0.1, 0.2], "covisitation": [0.1, 0.1], "next_visit": [0.3, 0.2]}


def test_the_best_single_generator_is_a_rival_like_the_baselines_paired_on_the_same_people() -> None:
    evaluation = measured_alone(**RIVALS)
    summary = summarise(evaluation, BOOTSTRAP, "ndcg_at_10", WINDOW)
    assert summary["best_generator"] == {"next_visit": pytest.approx((0.3 + 0.2) / 2)}
    assert list(summary["ndcg_at_10_gain_over"]) == ["als", "covisitation", "next_visit"]
    assert summary["ndcg_at_10_gain_over"]["next_visit"]["mean"] == pytest.approx(((0.4 - 0.3) + (0.5 - 0.2)) / 2)
    assert summary["headline"]["next_visit"] == pytest.approx(0.25)


def test_a_baseline_that_is_best_is_compared_once_and_of_equals_the_first_by_name_is_best() -> None:
    evaluation = measured_alone(**RIVALS | {"covisitation": [0.3, 0.2]})
    assert best_generator(evaluation, "ndcg_at_10") == "covisitation"
    summary = summarise(evaluation, BOOTSTRAP, "ndcg_at_10", WINDOW)
    assert list(summary["ndcg_at_10_gain_over"]) == ["als", "covisitation"]


def test_where_only_the_slates_were_measured_there_is_no_best_generator() -> None:
    evaluation = measured_alone(slates=[0.4, 0.5])
    assert best_generator(evaluation, "ndcg_at_10") is None
    assert idle_best_generator(evaluation, {}, "ndcg_at_10") is None


def test_a_best_generator_without_a_quota_is_told_and_one_with_a_quota_is_not(tmp_path: Path) -> None:
    evaluation = measured_alone(**RIVALS)
    assert idle_best_generator(evaluation, {"next_visit": 1, "als": 60}, "ndcg_at_10") is None
    note = idle_best_generator(evaluation, {"next_visit": 0, "als": 60, "covisitation": 60}, "ndcg_at_10")
    assert note is not None
    assert "next_visit alone has the best ndcg_at_10" in note
    assert "(0.250, before als with 0.150)" in note
    assert "Try request.quotas.next_visit" in note


def test_notes_are_lines_of_the_report(evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(tmp_path, evaluation, BOOTSTRAP, "ndcg_at_2", WINDOW, {}, ["one", "two"])
    assert (tmp_path / "notes.txt").read_text() == "one\ntwo\n"


def test_every_mean_stands_inside_its_interval_and_coverage_has_none(evaluation: Evaluation) -> None:
    table = per_system(evaluation, BOOTSTRAP)
    means, covered = (table.filter(pl.col("low").is_not_null()), table.filter(pl.col("low").is_null()))
    assert means.filter((pl.col("low") > pl.col("value")) | (pl.col("value") > pl.col("high"))).is_empty()
    assert set(covered["metric"]) == {f"{name}_at_{k}" for name in ("coverage", "gini") for k in (2, 4)}


def test_slices_part_people_by_tier_and_by_length_of_history(evaluation: Evaluation) -> None:
    found = {(one["group"], one["slice"]): one["people"] for one in slices(evaluation, BOOTSTRAP, "ndcg_at_2")}
    assert found == {
        (WARM, "everybody"): 2,
        (WARM, "tier personal"): 2,
        (WARM, "history 1 to 4"): 2,
        (COLD_POPULAR, "everybody"): 1,
        (COLD_POPULAR, "tier popular"): 1,
    }


def test_metrics_of_the_same_people_get_together_the_intervals_that_each_gets_alone() -> None:
    rng = np.random.default_rng(0)
    columns = {"ndcg": rng.random(30), "recall": rng.random(30)}
    together = BOOTSTRAP.intervals(columns, "warm", "als")
    assert together == {name: BOOTSTRAP.interval(values, "warm", "als") for name, values in columns.items()}


def test_an_interval_depends_on_the_seed_and_what_it_is_of_alone() -> None:
    values = np.array([0.1, 0.5, 0.9, 0.2, 0.4])
    assert BOOTSTRAP.interval(values, "a") == Bootstrap(100, seed=7).interval(values, "a")
    assert BOOTSTRAP.interval(values, "a") != BOOTSTRAP.interval(values, "b")
    assert BOOTSTRAP.interval(values, "a") != Bootstrap(100, seed=8).interval(values, "a")


def test_equal_evaluations_give_equal_files(evaluation: Evaluation, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, evaluation, BOOTSTRAP, "ndcg_at_2", WINDOW, {"index": "f00d"})
    names = sorted(path.relative_to(tmp_path / "a").as_posix() for path in (tmp_path / "a").rglob("*.*"))
    assert [name for name in names if not name.startswith("glance/")] == sorted(
        [
            "metrics.json",
            "ndcg_by_system.csv",
            "ndcg_by_system.png",
            "notes.txt",
            "per_system.csv",
            "per_user.parquet",
            "slices.json",
        ]
    )
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert "glance/warm.json" in names
    assert json.loads((tmp_path / "a" / "metrics.json").read_bytes())["window"]["test_start"] == NOW.isoformat()


def test_a_traced_evaluation_also_tells_where_wanted_items_were_missed(evaluation: Evaluation, tmp_path: Path) -> None:
    bands = ItemBands({"any": np.ones(N_ITEMS, bool)})
    tracing = Tracing(bands, {"popular": 12})
    summary = write_report(tmp_path, evaluation, BOOTSTRAP, "ndcg_at_2", WINDOW, {}, tracing=tracing)
    metrics = json.loads((tmp_path / "metrics.json").read_bytes())
    assert metrics["stages"] == json.loads(json.dumps(summary["stages"]))
    assert metrics["generators"]["popular"].keys() == {"alone", "last"}
    assert pl.read_csv(tmp_path / "stages.csv")["group"].unique(maintain_order=True).to_list() == [WARM, COLD_POPULAR]
    assert pl.read_csv(tmp_path / "generators.csv").filter(pl.col("generator") == "popular")["quota"].to_list() == [12]
    sliced = json.loads((tmp_path / "slices.json").read_bytes())
    assert {"group": WARM, "slice": "items any", "people": 2, "items": 3}.items() <= sliced[-4].items()


def test_the_glance_holds_the_slates_per_group_and_each_baseline_under_the_same_keys(evaluation: Evaluation) -> None:
    systems = per_system(evaluation, BOOTSTRAP)
    found = glance(systems, "ndcg_at_2")
    assert set(systems["group"]) <= set(found)
    keys = {who: frozenset(figures) for who, figures in found.items()}
    assert keys[WARM] - keys[COLD_POPULAR] == {"miscalibration_at_2"}  # of strangers there is no history
    assert "candidates_recall" in keys[WARM]
    assert set(keys.values()) == {keys[WARM], keys[COLD_POPULAR]}
    slates = (pl.col("group") == WARM) & (pl.col("system") == SLATES) & (pl.col("metric") == "ndcg_at_2")
    assert found[WARM]["ndcg_at_2"] == systems.filter(slates)["value"].item()
    assert found[WARM]["ndcg_at_2_low"] <= found[WARM]["ndcg_at_2"] <= found[WARM]["ndcg_at_2_high"]
