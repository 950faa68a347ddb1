"""The test window as it travels in a bundle: who was asked what, and what it takes to ask another release the same.

    measured/window.json          where the window starts and ends
    measured/cases.parquet        a row per question; items by their external ids
    measured/popularity.parquet   item_id, share: of the people before the window, who had touched the item
    measured/values/              feature values as of the window's start: of the people asked about, and of all items

Bundles have it from format version 2 on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.features import History, OlderEvents
from contracts.fingerprint import canonical_json
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import FloatArray, ItemIdxArray
from contracts.slates import RecommendRequest
from contracts.tables import UTC_TIME, read_parquet, write_parquet
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.histories import EventsByPerson, histories_of_items
from feature_store.values.values import FeatureSchemas, FeatureValues
from recommender.exclusion import ExclusionRule
from release.bundle.bundle import MEASURED, Release, measured_from
from release.bundle.manifest import REBUILD
from release.evaluation.cases import EvaluationCase
from release.evaluation.judge import Judge, category_vectors

CASES: Final = "cases.parquet"
POPULARITY: Final = "popularity.parquet"
VALUES: Final = "values"
CASE_SCHEMA: Final = pl.Schema(
    {
        "group": pl.String(),
        "user_id": pl.String(),
        "request": pl.String(),  # canonical JSON
        "now": UTC_TIME,
        "session_item_ids": pl.List(pl.String()),
        "session_event_ts": pl.List(pl.Int64()),
        "session_values": pl.List(pl.Float32()),
        "wanted": pl.List(pl.String()),
    }
)
POPULARITY_SCHEMA: Final = pl.Schema({"item_id": pl.String(), "share": pl.Float32()})


def save_cases(
    folder: Path, groups: Mapping[str, Sequence[EvaluationCase]], item_ids: IdMap, popularity: FloatArray
) -> None:
    """Write cases and popularity into an existing folder.

    item_ids: what the cases' items are dense indices of; popularity: (n_items,) aligned with it.
    """
    rows = [_case_row(group, case, item_ids) for group, cases in groups.items() for case in cases]
    write_parquet(pl.DataFrame(rows, schema=CASE_SCHEMA, orient="row"), folder / CASES)
    shares = pl.DataFrame({"item_id": list(item_ids.ids), "share": popularity}, schema=POPULARITY_SCHEMA)
    write_parquet(shares, folder / POPULARITY)


def values_for(cases_folder: Path, values: FeatureValues) -> FeatureValues:
    """The values without the people whom no case in the folder asks about."""
    requests = [json.loads(request) for request in _load_table(cases_folder / CASES, CASE_SCHEMA)["request"]]
    in_a_case = pl.col("user_id").is_in(sorted({one["user_id"] for one in requests} - {None}))
    return replace(values, users=values.users.filter(in_a_case), histories=values.histories.filter(in_a_case))


@dataclass(frozen=True)
class MeasuredWindow:
    """One release's test window, as any release can be asked about it.

    cases: CASE_SCHEMA, groups in their order, in each people in the order of their ids; popularity: POPULARITY_SCHEMA;
    values: as of the start.
    """

    start: datetime
    cases: pl.DataFrame
    popularity: pl.DataFrame
    values: FeatureValues

    @classmethod
    def load(cls, bundle: Path) -> MeasuredWindow:
        """Read it from a bundle; raises ArtefactError when something is missing or damaged."""
        folder = bundle / MEASURED
        cases = _load_table(folder / CASES, CASE_SCHEMA)
        popularity = _load_table(folder / POPULARITY, POPULARITY_SCHEMA)
        return cls(measured_from(bundle), cases, popularity, FeatureValues.load(folder / VALUES))

    def judge(self, release: Release, cutoff: int) -> Judge:
        """Judges slates over the catalogue of the release whose window it is.

        Raises ReleaseMismatch when that is another catalogue.
        """
        item_ids = self._item_ids
        if item_ids.fingerprint != release.catalogue.ids.fingerprint:
            raise ReleaseMismatch(
                f"{POPULARITY} is of the {len(item_ids)} items {item_ids.fingerprint}; release {release.release_id} "
                f"has {len(release.catalogue)}, {release.catalogue.ids.fingerprint}.",
                REBUILD,
            )
        return Judge((cutoff,), item_ids, self.popularity["share"].to_numpy(), category_vectors(release.catalogue))

    def excluding(self, rules: Iterable[ExclusionRule]) -> MeasuredWindow:
        """The same questions, but what any of the rules excludes is not wanted; those left with nothing are out.

        By what is known of people when they are asked about, as a release that answers knows it.
        """
        item_ids, rules, rows = self._item_ids, tuple(rules), []
        events = EventsByPerson(histories_of_items(self.values.histories, item_ids), item_ids)
        for group, cases in self.cases_for(item_ids, item_ids).items():
            for case in cases:
                excluded = _excluded(case, events, rules)
                relevant = case.relevant[~np.isin(case.relevant, excluded)]
                rows += [_case_row(group, replace(case, relevant=relevant), item_ids)] if len(relevant) else []
        return replace(self, cases=pl.DataFrame(rows, schema=CASE_SCHEMA, orient="row"))

    @cached_property
    def _item_ids(self) -> IdMap:
        return IdMap.in_order(self.popularity["item_id"].to_list())

    def cases_for(self, release_ids: IdMap, judge_ids: IdMap) -> dict[str, tuple[EvaluationCase, ...]]:
        """The cases by group; sessions in the ids of the release that is asked, relevant items in those of the judge.

        What somebody clicked that the asked release does not know is no part of the session it hears of.
        """
        groups: dict[str, list[EvaluationCase]] = {}
        try:
            for row in self.cases.iter_rows(named=True):
                groups.setdefault(row["group"], []).append(_case_of_row(row, release_ids, judge_ids))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{CASES} is damaged: {error!r}.", REBUILD) from error
        return {group: tuple(cases) for group, cases in groups.items()}

    def reader(self, schemas: FeatureSchemas, item_ids: IdMap) -> OfflineFeatureReader:
        """Reads the values as a release of these schemas and items would; events of items unknown to it are left out.

        Raises ReleaseMismatch naming both when the schemas name a feature that the values lack.
        """
        own = self.values.of(schemas)
        values = FeatureValues(own.users, own.items, histories_of_items(own.histories, item_ids), own.as_of)
        return OfflineFeatureReader(values, schemas, item_ids)


def _excluded(case: EvaluationCase, events: EventsByPerson, rules: Sequence[ExclusionRule]) -> ItemIdxArray:
    """What any of the rules excludes when the case is asked; events: of the people, items as in the case."""
    user_id, now = case.request.user_id, int(case.now.timestamp())
    history, older = (
        (case.session, OlderEvents.empty()) if user_id is None else (events.of(user_id), events.older_of(user_id))
    )
    return np.unique(np.concatenate([rule.items(history, older, now) for rule in rules]))


def _case_row(group: str, case: EvaluationCase, item_ids: IdMap) -> tuple[Any, ...]:
    session = case.session
    return (
        group,
        case.user_id,
        canonical_json(case.request.to_json()).decode(),
        case.now,
        item_ids.external(session.item_idx),
        session.event_ts.tolist(),
        session.values.tolist(),
        item_ids.external(case.relevant),
    )


def _case_of_row(row: Mapping[str, Any], release_ids: IdMap, judge_ids: IdMap) -> EvaluationCase:
    session = History.without_types(
        release_ids.indices(row["session_item_ids"]),
        np.array(row["session_event_ts"], np.int64),
        np.array(row["session_values"], np.float32),
    )
    known = session.item_idx != UNKNOWN
    return EvaluationCase(
        row["user_id"],
        RecommendRequest.from_json(json.loads(row["request"])),
        row["now"],
        _known_items(judge_ids, row["wanted"]),
        session.where(known),
    )


def _known_items(item_ids: IdMap, names: Iterable[str]) -> ItemIdxArray:
    item_idx = item_ids.indices(names)
    if (item_idx == UNKNOWN).any():
        raise ValueError("an item is wanted that is not in the catalogue")
    return item_idx


def _load_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    table = read_parquet(path)
    if table.schema != schema or table.null_count().sum_horizontal().item():
        raise ArtefactError(f"{path} is damaged: expected {dict(schema)} and no nulls.", REBUILD)
    return table
