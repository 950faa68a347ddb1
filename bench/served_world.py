"""A simulated world in which a release decides what is shown for some days: what its slates are worth, by the truth."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from contracts.clock import FixedClock
from contracts.features import FeatureReader, History
from contracts.id_map import UNKNOWN
from contracts.ids import SessionId, UserId
from contracts.slates import RecommendRequest, Slate
from contracts.tables import type_codes
from release.answering.request_path import answer_many
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from sources.simulator.policies import Requests, Slates
from sources.simulator.world import World
from sources.simulator.world_spec import SLATE_LENGTH, START, WorldSpec

CONTEXT: Final = ("device", "day_part", "entry_page")


def world_on(spec: WorldSpec, moment: datetime) -> World:
    """The world on the morning of a moment's day, after its logging policy had served all days before."""
    world = World(spec)
    while START + timedelta(days=world.today + 1) <= moment:
        world.day()
    return world


def clicks_under(release: Release, reader: FeatureReader, morning: World, n_days: int) -> dict[str, float]:
    """By user_id, the clicks that the release's slates are worth over the next days, by the truth.

    Who comes, and how often, does not depend on what is shown. What people do on one day is known to the release on the
    next. morning: stays as it is.
    """
    world = World(morning.spec, deepcopy(morning.states), morning.today)
    served, worth = _ServedRelease(release, reader), list[pl.DataFrame]()
    for _ in range(min(n_days, world.spec.n_days - world.today)):
        day = world.day(served)
        served.learn(day.interactions)
        worth.append(day.impressions.select("user_id").with_columns(clicks=day.click_probability))
    return dict(pl.concat(worth).group_by("user_id").agg(pl.col("clicks").sum()).rows())


@dataclass
class _ServedRelease:
    """A policy of the world: the slates of a release, one for each person and day."""

    release: Release
    reader: FeatureReader
    sessions: dict[SessionId, History] = field(default_factory=dict)

    def __call__(self, requests: Requests) -> Slates:
        asked = requests.table.select("user_id", *CONTEXT)
        first = asked.unique("user_id", keep="first", maintain_order=True)
        questions = [_question(row) for row in first.rows(named=True)]
        now = START + timedelta(days=requests.day)
        reader = SessionReader(self.reader, self.sessions)
        slates = answer_many(self.release, reader, FixedClock(now), questions)
        by_user = dict(zip(first["user_id"], map(_item_ids, slates), strict=True))
        return requests.slates([by_user[user_id] for user_id in asked["user_id"]], "release")

    def learn(self, interactions: pl.DataFrame) -> None:
        """Take a day's events into what is known of people."""
        item_idx = self.release.catalogue.ids.indices(interactions["item_id"])
        events = interactions.with_columns(item_idx=pl.Series(item_idx)).filter(pl.col("item_idx") != UNKNOWN)
        for (user_id,), rows in events.sort("event_ts").group_by("user_id", maintain_order=True):
            session = SessionId(str(user_id))
            self.sessions[session] = _after(self.sessions.get(session, History.empty()), _history(rows))


def _question(row: Mapping[str, str]) -> RecommendRequest:
    user_id = row["user_id"]
    context = {name: row[name] for name in CONTEXT}
    return RecommendRequest(user_id, UserId(user_id), SessionId(user_id), context=context, k=SLATE_LENGTH)


def _item_ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def _history(events: pl.DataFrame) -> History:
    return History(
        events["item_idx"].to_numpy().astype(np.int32),
        events["event_ts"].dt.epoch("s").to_numpy().astype(np.int64),
        events.select(type_codes())["event_type"].to_numpy().astype(np.uint8),
        events["value"].cast(pl.Float32).fill_null(float("nan")).to_numpy().astype(np.float32),
    )


def _after(before: History, later: History) -> History:
    columns = ("item_idx", "event_ts", "event_types", "values")
    return History(*(np.concatenate([getattr(before, name), getattr(later, name)]) for name in columns))
