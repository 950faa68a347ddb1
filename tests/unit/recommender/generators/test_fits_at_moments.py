"""What the generators of several snapshots have in common is worked out once, and is what each would work out alone."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from contracts.returns import without_taken_back
from contracts.settings.candidates import SimilarTextsSettings
from contracts.tables import INTERACTIONS_SCHEMA
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.sets import fit_at_each, fit_generators, fit_one
from recommender.interactions import Interactions, KnownEvents
from tests.recommender_worlds import CANDIDATE_SETTINGS, START
from tests.worlds import small_world

MOMENTS = [START + timedelta(days=days) for days in (40, 60, 75)]
TABLES = small_world(n_events=1200)
CATALOGUE = Catalogue.from_items(TABLES.items)


def fingerprints(generators: dict[str, Generator], folder: Path) -> dict[str, str]:
    return {name: generator.save(folder / name).fingerprint for name, generator in generators.items()}


def test_the_fits_of_several_moments_are_to_the_byte_what_each_is_alone(tmp_path):
    together = fit_at_each(TABLES, [(moment, CATALOGUE) for moment in MOMENTS], CANDIDATE_SETTINGS, seed=1)
    for moment, generators in zip(MOMENTS, together, strict=True):
        alone = fit_generators(TABLES, CATALOGUE, moment, CANDIDATE_SETTINGS, seed=1)
        named = f"{moment:%j}"
        assert fingerprints(generators, tmp_path / named) == fingerprints(alone, tmp_path / "alone" / named)


def test_what_is_written_of_the_items_is_looked_at_once_for_all_moments_of_one_catalogue():
    content = np.random.default_rng(3).normal(size=(len(CATALOGUE), 4)).astype(np.float32)
    written, other = replace(CATALOGUE, content=content), replace(CATALOGUE, content=content[::-1].copy())
    settings = CANDIDATE_SETTINGS.model_copy(update={"similar_texts": SimilarTextsSettings(n_neighbours=5)})
    moments = list(zip(MOMENTS, (written, written, other), strict=True))
    first, second, third = (fits["similar_texts"] for fits in fit_at_each(TABLES, moments, settings, seed=1))
    assert first is second
    alone = [
        fit_one("similar_texts", TABLES, catalogue, MOMENTS[0], settings, seed=1) for catalogue in (written, other)
    ]
    for found, expected in zip((first, third), alone, strict=True):
        np.testing.assert_array_equal(found.neighbours, expected.neighbours)
    assert not np.array_equal(first.neighbours, third.neighbours)


def test_what_comes_after_a_moment_changes_none_of_its_fits(tmp_path):
    before = replace(TABLES, interactions=TABLES.interactions.filter(pl.col("event_ts") < MOMENTS[1]))
    moments = [(moment, CATALOGUE) for moment in MOMENTS[:2]]
    fits = [list(fit_at_each(tables, moments, CANDIDATE_SETTINGS, seed=1)) for tables in (TABLES, before)]
    for at, (one, other) in enumerate(zip(*fits, strict=True)):
        assert fingerprints(one, tmp_path / f"all-{at}") == fingerprints(other, tmp_path / f"before-{at}")


def test_what_was_known_at_a_moment_is_read_off_as_it_was_worked_out_from_the_table():
    rows = [
        (f"u{user}", f"i{1000 + item}", kind, MOMENTS[1] + timedelta(seconds=at), 1.0, None, None)
        for user, item, kind, at in (
            (1, 3, "purchase", -9),
            (1, 3, "return", -1),
            (1, 4, "purchase", -8),
            (1, 4, "return", 0),  # not before the moment
            (2, 5, "purchase", -0.5),
            (3, 5, "view", 0),
            (4, 9999, "view", -3),  # no item of the catalogue
        )
    ]
    table = pl.DataFrame(rows[::-1], schema=INTERACTIONS_SCHEMA, orient="row")
    known = without_taken_back(table.filter(pl.col("event_ts") < MOMENTS[1]))
    expected = Interactions.of(known, CATALOGUE.ids)
    found = KnownEvents.of(table, CATALOGUE.ids).before(MOMENTS[1])
    assert expected.user_ids == found.user_ids == ("u1", "u2")
    for field in fields(Interactions)[1:]:
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))
