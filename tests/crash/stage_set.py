"""The world of a crash run: two releases that answer differently, each with fresher generations, all kept on disk.

What every (release, generation) answers to a set of questions is worked out beforehand, from tables: whatever a reader
is answered meanwhile has to be one of these, whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from contracts.clock import FixedClock
from contracts.home import Home
from contracts.ids import UserId
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from release.bundle_build import build_bundle
from tests.release_worlds import ingredients_of, run_stages, small_settings
from tests.worlds import small_world

SEEDS = (3, 4)  # of the worlds that the releases are trained on
N_GENERATIONS = 3  # of each release, its own among them
N_QUESTIONS = 12
EXPECTED = "expected.json"

Pair = tuple[str, str]  # release_id, generation_id


def crash_settings() -> Settings:
    """Readers that look often and wait long: only what is really missing shows, not a busy machine."""
    return small_settings(
        serving={"poll_ms": 10, "store_timeout_ms": 10_000, "clock": "release"},
        publish={"keep_generations": 3, "grace_hours": 0},
    )


@dataclass(frozen=True)
class StageSet:
    """The pairs there are, and what each answers: expected[release/generation][request_id] is a slate's items."""

    home: Home
    pairs: tuple[Pair, ...]
    expected: dict[str, dict[str, list[list[Any]]]]

    @classmethod
    def build(cls, home: Home, scratch: Path) -> StageSet:
        """Train the releases, keep them and their generations, and work out every answer."""
        pairs: list[Pair] = []
        expected: dict[str, dict[str, list[list[Any]]]] = {}
        for seed in SEEDS:
            settings = crash_settings()
            workspace = scratch / f"workspace-{seed}"
            run_stages(workspace, small_world(seed=seed), settings)
            built = build_bundle(scratch / f"bundle-{seed}", ingredients_of(workspace, settings))
            release = load_bundle(BundleStore(home).keep(scratch / f"bundle-{seed}"))
            own = FeatureValues.load(scratch / f"bundle-{seed}" / "values")
            for values in [own, *(_fresher(own, number) for number in range(1, N_GENERATIONS))]:
                if values is not own:
                    GenerationStore(home).keep(values)
                reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
                slates = [answer(release, reader, FixedClock(release.as_of), question) for question in questions(own)]
                pairs.append((built.release_id, values.generation_id))
                expected["/".join(pairs[-1])] = {slate.request_id: items_of(slate) for slate in slates}
        stage_set = cls(home, tuple(pairs), expected)
        stage_set._check_distinct()
        (home.root / EXPECTED).write_text(json.dumps({"pairs": pairs, "expected": expected}))
        return stage_set

    @classmethod
    def load(cls, home: Home) -> StageSet:
        """What `build` left."""
        content = json.loads((home.root / EXPECTED).read_text())
        return cls(home, tuple((one, other) for one, other in content["pairs"]), content["expected"])

    def is_whole(self, slate: Slate) -> bool:
        """Whether the slate is what its release and generation answer, every item and score of it."""
        known = self.expected.get(f"{slate.release_id}/{slate.generation_id}", {})
        return not slate.degraded and known.get(slate.request_id) == items_of(slate)

    def _check_distinct(self) -> None:
        """A mixture can only be seen where pairs answer differently."""
        answers = [json.dumps(slates, sort_keys=True) for slates in self.expected.values()]
        if len(set(answers)) != len(answers):
            raise AssertionError("Two generations answer alike: a mixed answer would go unseen.")


def questions(values: FeatureValues) -> list[RecommendRequest]:
    """People with a history; the same for all generations of a release."""
    people = values.histories.filter(pl.col("item_ids").list.len() >= 5)["user_id"].to_list()[:N_QUESTIONS]
    return [RecommendRequest(f"crash/{user_id}", user_id=UserId(user_id), k=10) for user_id in people]


def items_of(slate: Slate) -> list[list[Any]]:
    """Ids and scores, as JSON gives them back."""
    return [[item.item_id, round(item.score, 5)] for item in slate.items]


def _fresher(values: FeatureValues, number: int) -> FeatureValues:
    """The same people a few hours later: histories lack the last events, and every feature moved."""
    features = pl.exclude("user_id", "item_id")
    shorter = pl.exclude("user_id").list.head(pl.col("item_ids").list.len() - number)
    return replace(
        values,
        users=values.users.with_columns(features + number),
        items=values.items.with_columns(features * (1 + number)),
        histories=values.histories.with_columns(shorter),
        as_of=values.as_of + timedelta(hours=number),
    )


def other_than(pairs: Sequence[Pair], served: Pair | None) -> list[Pair]:
    """The pairs that something can be switched to."""
    return [pair for pair in pairs if pair != served]
