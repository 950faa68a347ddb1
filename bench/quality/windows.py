"""The windows of a judgement, the same for our slates and for peers: what is known before each, and who is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from contracts.id_map import IdMap
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.rolling.judgement import Windows
from recommender.exclusion import ExclusionRule
from recommender.split import TimeSplit
from release.evaluation.cases import WARM, EvaluationCase, build_cases


def every_window(tables: CanonicalTables, settings: Settings) -> dict[int, TimeSplit]:
    """By number from 1, oldest first; the last one is the test window of the stages, which chooses nothing."""
    both = [Windows.choosing(tables, settings), Windows.last(tables, settings)]
    return {number: split for one in both for number, split in zip(one.numbers, one.splits, strict=True)}


def validation_of(split: TimeSplit) -> TimeSplit:
    """The window before this one, on which peers are tuned: what lies before it is the train window alone."""
    return replace(split, test_start=split.train_end, as_of=split.test_start)


def warm_cases(
    settings: Settings, tables: CanonicalTables, item_ids: IdMap, start: datetime
) -> tuple[EvaluationCase, ...]:
    """The people with a history whom the stage `evaluate` asks about; tables: up to the window's end."""
    rules, rng = settings.request, np.random.default_rng(settings.seed)
    excluding = ExclusionRule.of(rules.excluding_events, rules.excluded_days)
    most, k = settings.evaluate.max_people, max(settings.evaluate.cutoffs)
    return build_cases(tables, item_ids, start, k, most, rng, excluding)[WARM]
