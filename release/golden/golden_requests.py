"""Which questions become golden: some for every tier and both surfaces, drawn from what the release knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import cycle, islice
from typing import Final, TypeVar

import numpy as np
import polars as pl

from contracts.errors import DataTooSmall
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import Preferences, RecommendRequest, Surface
from feature_store.values.values import FeatureValues
from release.bundle.bundle import Release

GOLDEN_K: Final = 10
# Seconds before the question at which a visitor clicked.
CLICKED_BEFORE: Final = (95, 30)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Click:
    """One event of a session; value: None where it has none."""

    item_id: ItemId
    event_ts: int
    value: float | None = None


@dataclass(frozen=True)
class Question:
    """A request, and what happened in its session, oldest first."""

    request: RecommendRequest
    session: tuple[Click, ...] = ()


@dataclass(frozen=True)
class _Draw:
    """What questions are drawn from. people: with history enough for tier `personal`; items: that people touched."""

    people: Sequence[str]
    items: Sequence[str]
    categories: Sequence[str]
    contexts: Sequence[Mapping[str, str]]
    now: datetime
    rng: np.random.Generator

    def one_of(self, things: Sequence[Thing]) -> Thing:
        return things[int(self.rng.integers(len(things)))]

    def item(self) -> ItemId:
        return ItemId(self.one_of(self.items))


def golden_questions(
    release: Release,
    values: FeatureValues,
    contexts: Sequence[Mapping[str, str]],
    now: datetime,
    n_questions: int,
    rng: np.random.Generator,
) -> list[Question]:
    """n questions that take turns through the tiers and surfaces; a tier that nobody can be in is left out.

    contexts: what is known of newcomers, like age and gender; empty where nothing is.
    Raises DataTooSmall when nobody ever touched an item.
    """
    personal = values.histories.filter(pl.col("item_ids").list.len() >= release.request.personal_min_events)
    items = values.histories["item_ids"].explode(empty_as_null=False).unique().sort().to_list()
    if not items:
        raise DataTooSmall("No history holds an item: there is nothing to ask about.", "Bring more data.")
    draw = _Draw(personal["user_id"].to_list(), items, release.catalogue.category_names, contexts, now, rng)
    kinds = {name: kind for name, kind in _KINDS.items() if _possible(name, draw)}
    turns = islice(cycle(kinds.items()), n_questions)
    return [_numbered(kind(draw), name, number) for number, (name, kind) in enumerate(turns)]


def _numbered(question: Question, name: str, number: int) -> Question:
    """The question under a name and a seed of its own; every second one also asks for reasons."""
    request = replace(
        question.request, request_id=f"golden-{number:03}-{name}", k=GOLDEN_K, seed=number, explain=number % 2 == 0
    )
    if question.session:
        request = replace(request, session_id=SessionId(request.request_id))
    return replace(question, request=request)


def _possible(name: str, draw: _Draw) -> bool:
    if name.startswith("personal"):
        return bool(draw.people)
    return bool(draw.contexts) if name == "contextual" else True


def _personal(draw: _Draw) -> Question:
    return Question(RecommendRequest("", user_id=UserId(draw.one_of(draw.people))))


def _personal_in_session(draw: _Draw) -> Question:
    return replace(_personal(draw), session=_clicks(draw))


def _session(draw: _Draw) -> Question:
    return Question(RecommendRequest(""), _clicks(draw))


def _onboarded(draw: _Draw) -> Question:
    categories = (draw.one_of(draw.categories),) if draw.categories else ()
    return Question(RecommendRequest("", preferences=Preferences(categories, (draw.item(),))))


def _contextual(draw: _Draw) -> Question:
    return Question(RecommendRequest("", context=dict(draw.one_of(draw.contexts))))


def _popular(draw: _Draw) -> Question:  # noqa: ARG001 - a kind like the others; this one needs to know nothing
    return Question(RecommendRequest(""))


def _clicks(draw: _Draw) -> tuple[Click, ...]:
    now = int(draw.now.timestamp())
    return tuple(Click(draw.item(), now - seconds) for seconds in CLICKED_BEFORE)


def _beside_an_item(kind: Callable[[_Draw], Question]) -> Callable[[_Draw], Question]:
    def asked(draw: _Draw) -> Question:
        question = kind(draw)
        request = replace(question.request, surface=Surface.ITEM, item_id=draw.item())
        return replace(question, request=request)

    return asked


_KINDS: Final[Mapping[str, Callable[[_Draw], Question]]] = {
    "personal": _personal,
    "session": _session,
    "onboarded": _onboarded,
    "contextual": _contextual,
    "popular": _popular,
    "personal-beside-item": _beside_an_item(_personal),
    "personal-in-session": _personal_in_session,
    "session-beside-item": _beside_an_item(_session),
    "popular-beside-item": _beside_an_item(_popular),
}
