"""Which questions two releases can honestly be asked together: those that lie after what either has learnt from.

Every bundle holds the fit that was measured, which knows nothing of its own test window. Of two windows the later one
is unseen by both. What is served was fitted to the end of the data and has seen them: it is never asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import NotComparable, ReleaseMismatch
from feature_store.values.values import load_schemas
from recommender.catalogue import Catalogue
from release.bundle.bundle import CATALOGUE, FEATURES, load_rules
from release.bundle.open_bundle import OpenBundle
from release.evaluation.comparison import FIRST_WITH_CASES
from release.evaluation.measured_window import MeasuredWindow
from release.evaluation.wanted_of_both import wanted_of_both

ADVICE: Final = "What their evaluation cards say stands above; the cards were made on other questions."


@dataclass(frozen=True)
class Questions:
    """The window that both are asked about. lender: the release whose test window it is; notes: what to know of it."""

    lender: OpenBundle
    window: MeasuredWindow
    notes: tuple[str, ...]

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The k that the lender was evaluated at."""
        return tuple(int(k) for k in self.lender.manifest.params["evaluate"]["cutoffs"])


def shared_questions(a: OpenBundle, b: OpenBundle) -> Questions:
    """The later test window of the two; raises NotComparable, with each reason, where no window can be asked of both.

    Where the two exclude differently, only what both may show counts as wanted.
    Where both windows begin at one moment, B's is taken, and A's where B's lacks a feature that A needs.
    """
    if a.manifest.app != b.manifest.app:
        raise NotComparable(
            f"A is of application {a.manifest.app}, B of {b.manifest.app}: they know neither the same people nor the "
            "same items.",
            ADVICE,
        )
    latest = max(a.test_start, b.test_start)
    problems = []
    for lender in (b, a):
        if lender.test_start == latest:
            try:
                return _asked_of_both(lender, a, b)
            except (NotComparable, ReleaseMismatch) as error:
                problems.append(error.problem)
    raise NotComparable(" ".join(dict.fromkeys(problems)), ADVICE)


def _asked_of_both(lender: OpenBundle, a: OpenBundle, b: OpenBundle) -> Questions:
    version = lender.manifest.format_version
    if version < FIRST_WITH_CASES:
        raise NotComparable(
            f"{lender.manifest.release_id} has the later test window, and its bundle is of format version {version}: "
            f"the questions are in bundles from version {FIRST_WITH_CASES} on.",
            ADVICE,
        )
    window = MeasuredWindow.load(lender.folder)
    for one in (a, b):
        window.values.of(load_schemas(one.folder / FEATURES))  # raises where the window's values lack a feature
    window, note = wanted_of_both(window, {"A": load_rules(a.folder), "B": load_rules(b.folder)})
    return Questions(lender, window, (*([note] if note else []), *_notes(window, a, b)))


def _notes(window: MeasuredWindow, a: OpenBundle, b: OpenBundle) -> list[str]:
    notes = []
    for name, one in (("A", a), ("B", b)):
        days = (window.start - one.test_start).total_seconds() / SECONDS_PER_DAY
        if days > 0:
            notes.append(
                f"the measured fit of {name} learnt until {one.test_start.isoformat()}, {days:.1f} days before the "
                "questions begin: it is that much older than the other."
            )
        unknown, n_wanted = _unknown_items(window, one)
        if unknown:
            notes.append(f"{name} does not know {unknown} of the {n_wanted} items that were wanted: they are misses.")
    if a.manifest.code != b.manifest.code:
        notes.append("they were built by different code; this checkout's code asks both, so only their parts differ.")
    if a.manifest.data != b.manifest.data:
        notes.append(
            "they were built from different data, which cannot be swapped by itself: what a fitted part adds below "
            "tells of its data and of its parameters together."
        )
    return notes


def _unknown_items(window: MeasuredWindow, one: OpenBundle) -> tuple[int, int]:
    """Of the items that anybody wanted, how many the release does not know; and how many were wanted."""
    wanted = window.cases["wanted"].explode(empty_as_null=True).drop_nulls().unique()
    known = pl.Series(Catalogue.load(one.folder / CATALOGUE).ids.ids, dtype=pl.String())
    return int((~wanted.is_in(known.implode())).sum()), len(wanted)
