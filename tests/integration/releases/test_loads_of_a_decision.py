"""How often one decision reads the same thing of a bundle: every byte is compared once, and every part is loaded once.

Comparing every byte is what a decision on a large release mostly waits for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from recommender.ranking.ranker import Ranker
from release.bundle import manifest
from release.promotion.canary_control import start_canary
from release.registry.state import Stage
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
Loads = Counter[tuple[str, str]]

SERVED = {("bytes", ""): 1, ("manifest", "manifest.json"): 1, ("ranker", "ranking"): 1, ("values", "golden/values"): 1}
PUBLISHED = {("values", "values"): 1}
COMPARED = {("ranker", "measured/ranking"): 1, ("values", "measured/values"): 1}
AS_CHAMPION = SERVED | {("ranker", "measured/ranking"): 1}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> Loads:
    """What was read since the count was cleared: (what, where below the folder of all bundles)."""
    counted: Loads = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counting(folder: Path, *others: Any) -> Any:
            counted[what, folder.relative_to(studio.home.bundles).as_posix()] += 1
            return original(folder, *others)

        monkeypatch.setattr(owner, name, counting)

    count(manifest, "list_files", "bytes")
    count(manifest, "load_json", "manifest")
    count(FeatureValues, "load", "values")
    count(Ranker, "load", "ranker")
    return counted


def of(loads: Loads, release_id: str) -> dict[tuple[str, str], int]:
    """What was read of one release's bundle."""
    mine = {(what, where): n for (what, where), n in loads.items() if where.split("/")[0] == release_id}
    return {(what, where.removeprefix(release_id).removeprefix("/")): n for (what, where), n in mine.items()}


def test_a_decision_on_production_reads_each_part_of_both_bundles_once(studio: Studio, loads: Loads) -> None:
    assert studio.promoter.promote(1, requester="ada").accepted
    loads.clear()
    challenger = studio.promoter.promote(2, requester="ada")
    assert challenger.accepted
    assert of(loads, challenger.release_id) == SERVED | PUBLISHED | COMPARED
    assert of(loads, studio.registry.version(1).release_id) == AS_CHAMPION


def test_a_decision_on_staging_reads_each_part_once(studio: Studio, loads: Loads) -> None:
    decision = studio.promoter.promote(1, Stage.STAGING, requester="ada")
    assert decision.accepted
    assert of(loads, decision.release_id) == SERVED | PUBLISHED


def test_the_start_of_a_canary_reads_each_part_once(studio: Studio, loads: Loads) -> None:
    assert studio.promoter.promote(1, requester="ada").accepted
    run = start_canary(studio.promoter, 2, 0.1, requester="ada")
    assert of(loads, run.canary.release_id) == SERVED | PUBLISHED


def test_golden_queries_are_read_once_for_their_answers_and_for_their_times(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter[str]()
    start = OfflineFeatureReader.__init__

    def starting(self: OfflineFeatureReader, values: FeatureValues, *others: Any) -> None:
        read[values.generation_id] += 1
        start(self, values, *others)

    monkeypatch.setattr(OfflineFeatureReader, "__init__", starting)
    assert studio.promoter.promote(1, Stage.STAGING, requester="ada").accepted
    assert sorted(read.values()) == [1, 1]  # the golden values, and those that were published
