"""Golden queries: what a release answered when it was built, it answers wherever it is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.slates import Surface, Tier
from feature_store.values.values import FeatureValues
from release.bundle.bundle import Release, load_bundle
from release.bundle_build import Ingredients
from release.golden.golden_queries import check_golden, make_golden
from tests.integration.bundles.test_bundle import reseal
from tests.unit.release.made_up_release import BrokenRanker


def queries_of(bundle: Path) -> list[dict[str, Any]]:
    queries: list[dict[str, Any]] = json.loads((bundle / "golden" / "queries.json").read_bytes())["queries"]
    return queries


def edit(bundle: Path, change: Callable[[list[dict[str, Any]]], None]) -> Release:
    """The bundle with other golden queries, sealed again."""
    path = bundle / "golden" / "queries.json"
    content = json.loads(path.read_bytes())
    change(content["queries"])
    path.write_text(json.dumps(content))
    reseal(bundle)
    return load_bundle(bundle)


def test_a_release_answers_its_golden_queries(built: Release) -> None:
    check_golden(built)


def test_they_cover_every_tier_and_both_surfaces(bundle: Path) -> None:
    queries = queries_of(bundle)
    assert {query["answer"]["tier"] for query in queries} == {str(tier) for tier in Tier}
    assert {query["request"]["surface"] for query in queries} == {str(surface) for surface in Surface}
    assert all(query["answer"]["items"] for query in queries)


def test_they_carry_their_own_people_and_need_no_other_values(built: Release, bundle: Path) -> None:
    for path in (bundle / "values").iterdir():
        path.unlink()
    assert built.folder is not None
    check_golden(replace(built, folder=bundle))
    asked = {query["request"]["user_id"] for query in queries_of(bundle)} - {None}
    assert set(FeatureValues.load(bundle / "golden" / "values").users["user_id"]) == asked


def test_another_item_is_refused_by_the_name_of_the_query_and_both_items(bundle: Path) -> None:
    expected = queries_of(bundle)[0]["answer"]["items"][2][0]
    release = edit(bundle, lambda queries: queries[0]["answer"]["items"][2].__setitem__(0, "i9999"))
    with pytest.raises(ReleaseMismatch, match="golden-000-personal") as refusal:
        check_golden(release)
    assert f"expected item i9999 at position 3, found {expected}" in refusal.value.problem


def test_a_score_may_differ_by_the_tolerance_and_no_more(bundle: Path) -> None:
    def shift(by: float) -> Callable[[list[dict[str, Any]]], None]:
        def change(queries: list[dict[str, Any]]) -> None:
            queries[1]["answer"]["items"][0][1] += by

        return change

    check_golden(edit(bundle, shift(0.00009)))  # the tolerance is 0.0001
    with pytest.raises(
        ReleaseMismatch, match=r"golden-001-session.*expected score .* for item .* at position 1, found"
    ):
        check_golden(edit(bundle, shift(0.00003)))


def test_another_tier_and_another_length_are_refused(bundle: Path) -> None:
    release = edit(bundle, lambda queries: queries[4]["answer"].update(tier="personal"))
    with pytest.raises(ReleaseMismatch, match="expected tier personal, found popular"):
        check_golden(release)
    release = edit(bundle, lambda queries: queries[4]["answer"].update(tier="popular", items=[]))
    with pytest.raises(ReleaseMismatch, match="expected 0 items, found 10"):
        check_golden(release)


def test_a_missing_query_is_refused(bundle: Path) -> None:
    with pytest.raises(ReleaseMismatch, match="holds 8 queries, the manifest says 9"):
        check_golden(edit(bundle, lambda queries: queries.pop()))


def test_a_degraded_answer_is_no_golden_answer(built: Release, ingredients: Ingredients, tmp_path: Path) -> None:
    broken = replace(built, ranker=BrokenRanker())  # type: ignore[arg-type]  # as much of a ranker as is asked of one
    with pytest.raises(ReleaseMismatch, match="had to do without ranker"):
        check_golden(broken)
    values = FeatureValues.load(ingredients.values)
    with pytest.raises(ArtefactError, match="golden-000-personal had to do without ranker"):
        make_golden(tmp_path, broken, values, [], n_queries=1, seed=0)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"now": "soon", "queries": []}', '{"now": "2020-01-01", "queries": [{}]}']
)
def test_damaged_queries_are_an_artefact_error(bundle: Path, content: str) -> None:
    release = load_bundle(bundle)
    (bundle / "golden" / "queries.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"queries\.json is damaged"):
        check_golden(release)


def test_a_release_that_is_no_bundle_has_none(built: Release) -> None:
    with pytest.raises(ArtefactError, match="is no bundle"):
        check_golden(replace(built, folder=None))
