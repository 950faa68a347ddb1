"""Each generator's values chosen on what is known before the question that is reported, and measured once.

Baskets: a fifth of each training line, drawn once, is what is asked for; the rest is learnt from and is the history.
What is chosen is then fitted on all of the line. Sequences: the item before the last is asked for. What is fitted for
that and what is reported learn from the same, all but the last two; the item before the last is history alone, when the
last is asked for. What the table reports, the test lines or the last items, is read when the values are chosen, and not
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.quality.literature.grids import GRIDS, Values
from bench.quality.literature.people import People
from bench.quality.literature.protocols import (
    LEARNT,
    asked_sequences,
    basket_figures_of,
    people_of_baskets,
    sequence_figures_of,
    tables_of_sequences,
)
from bench.quality.literature.reading import Baskets, LeftOut, Sequences
from bench.quality.literature.tables import A_DAY
from contracts.errors import DataTooSmall, SourceError
from contracts.settings.candidates import CandidateSettings
from contracts.settings.settings import Settings
from pipelines.memory_forecast import EASE_BYTES_A_PAIR, GIB, machine_gib
from recommender.generators.base import Generator

N_CANDIDATES: Final = 60  # that a generator which params.yaml has no quota for hands to the request path
HELD_OUT_SHARE: Final = 0.2
DRAW: Final = 20  # the seed of what is held out of the lines, whatever the seed of the fits

Measure = Callable[[People, Generator], Mapping[str, float]]


@dataclass(frozen=True)
class Tuned:
    """values: chosen of `tried` ones; validation, figures: by metric, where they were chosen and as reported.

    not_tried: values that were left out, with the reason.
    """

    values: Values
    tried: int
    validation: Mapping[str, float]
    figures: Mapping[str, float]
    not_tried: tuple[str, ...]


@dataclass(frozen=True)
class TunedFigures:
    """By generator; not_measured: those of which no value was tried, with the reasons."""

    tuned: Mapping[str, Tuned]
    not_measured: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Asked:
    """One question of a protocol: whom, and what it is worth."""

    people: People
    measure: Measure


@dataclass(frozen=True)
class Protocol:
    """Where values are chosen, and where they are reported."""

    metric: str
    choosing: Asked
    reporting: Asked


def tuned_figures(task: LeftOut | Baskets | Sequences, settings: Settings, seed: int) -> TunedFigures:
    """Of each generator that the form has a grid for; raises SourceError for a form without one."""
    protocol, grid = protocol_of(task), GRIDS[type(task)]
    every = {name: _tuned(name, values, protocol, settings.candidates, seed) for name, values in grid.items()}
    return TunedFigures(
        {name: one for name, one in every.items() if isinstance(one, Tuned)},
        {name: one for name, one in every.items() if not isinstance(one, Tuned)},
    )


def protocol_of(task: LeftOut | Baskets | Sequences) -> Protocol:
    """How values are chosen for this form."""
    if isinstance(task, Baskets):
        inner = held_out(task)
        return Protocol(
            "NDCG@20",
            Asked(people_of_baskets(inner), lambda people, one: basket_figures_of(people, one, inner)),
            Asked(people_of_baskets(task), lambda people, one: basket_figures_of(people, one, task)),
        )
    if isinstance(task, Sequences):
        asked, tables = asked_sequences(task), tables_of_sequences(task)
        before, last = ({user: own[place] for user, own in asked.items()} for place in (-2, -1))
        return Protocol(
            "NDCG@10",
            Asked(People(tables, LEARNT, LEARNT), lambda people, one: sequence_figures_of(people, one, before)),
            Asked(People(tables, LEARNT, LEARNT + A_DAY), lambda people, one: sequence_figures_of(people, one, last)),
        )
    raise SourceError(
        "Nothing is tuned for one item left out among negatives.", "Leave --tuned out, or bring lines of items."
    )


def held_out(task: Baskets) -> Baskets:
    """Of each training line a fifth, rounded, and at least one item, is asked for; a line of one is left as it is."""
    rng = np.random.default_rng(DRAW)
    train, test = {}, {}
    for user in sorted(task.train):
        drawn = [task.train[user][place] for place in rng.permutation(len(task.train[user]))]
        n_held = max(1, round(HELD_OUT_SHARE * len(drawn))) if len(drawn) > 1 else 0
        train[user] = tuple(drawn[n_held:])
        if n_held:
            test[user] = tuple(drawn[:n_held])
    return Baskets(train, test)


def with_values(candidates: CandidateSettings, values: Values) -> CandidateSettings:
    """The parameters with these changed, and what they stand for checked."""
    changed: dict[str, Any] = candidates.model_dump()
    for group, own in values.items():
        changed[group] = {**(changed[group] or {}), **own}
    return CandidateSettings.model_validate(changed)


def settings_of_all(settings: Settings, tuned: Mapping[str, Tuned]) -> Settings:
    """The parameters with the values of every tuned generator; one that is new has N_CANDIDATES."""
    candidates = settings.candidates
    for one in tuned.values():
        candidates = with_values(candidates, one.values)
    quotas = dict(settings.request.quotas)
    quotas.update({name: N_CANDIDATES for name in tuned if name not in quotas})
    request = settings.request.model_copy(update={"quotas": quotas})
    return settings.model_copy(update={"candidates": candidates, "request": request})


def _tuned(
    name: str, grid: tuple[Values, ...], protocol: Protocol, candidates: CandidateSettings, seed: int
) -> Tuned | tuple[str, ...]:
    """What has the highest value of the metric, of equal ones the first; why none was tried, where none was."""
    found, not_tried = [], []
    for values in grid:
        measured = _tried(name, values, protocol.choosing, candidates, seed)
        if isinstance(measured, str):
            not_tried.append(measured)
            print(f"{name} {values}: not tried. {measured}", flush=True)
        else:
            print(f"{name} {values}: {_told(measured)} where values are chosen", flush=True)
            found.append((measured, values))
    if not found:
        return tuple(not_tried)
    validation, chosen = max(found, key=lambda one: one[0][protocol.metric])
    figures = _measured(name, protocol.reporting, with_values(candidates, chosen), seed)
    return Tuned(chosen, len(found), validation, figures, tuple(not_tried))


def _tried(
    name: str, values: Values, asked: Asked, candidates: CandidateSettings, seed: int
) -> Mapping[str, float] | str:
    """By metric; or why these values cannot be tried on this data, for they stand in the grid, not in params.yaml."""
    why_not = too_large(values, len(asked.people.catalogue))
    if why_not is not None:
        return why_not
    try:
        return _measured(name, asked, with_values(candidates, values), seed)
    except DataTooSmall as error:
        return error.problem


def too_large(values: Values, n_items: int) -> str | None:
    """Why EASE of all pairs of items is not tried, told before it begins; None where it fits."""
    ease = values.get("ease")
    needed = EASE_BYTES_A_PAIR * n_items**2 / GIB
    if ease is None or ease.get("n_regressors") is not None or needed <= machine_gib():
        return None
    return f"EASE of all pairs of {n_items:,} items needs {needed:.1f} GiB, and the machine has {machine_gib():.1f}"


def _measured(name: str, asked: Asked, candidates: CandidateSettings, seed: int) -> Mapping[str, float]:
    return asked.measure(asked.people, asked.people.generator(name, candidates, seed))


def _told(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{metric} {value:.4f}" for metric, value in figures.items())
