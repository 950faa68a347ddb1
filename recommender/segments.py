"""Segments of people: the coarse groups within which popularity is counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from contracts.features import FeatureSchema, ReadRows

# Published features of a person (`feature_store.definitions.people`).
AGE = "user_age"
IS_FEMALE = "user_gender_female"
# Taken as they are given; the age becomes a band.
ATTRIBUTES = ("gender", "occupation", "device", "day_part", "entry_page")
# The bands of MovieLens 1M; each is named by its ages.
_BAND_STARTS = (0, 18, 25, 35, 45, 50, 56)
_BAND_NAMES = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56 and over")


def age_band(age: int) -> str:
    """The band an age in years falls into, named as people would say it."""
    position = max(index for index, start in enumerate(_BAND_STARTS) if start <= max(age, 0))
    return _BAND_NAMES[position]


def segment_of(context: Mapping[str, object]) -> dict[str, str]:
    """The segment that a request's context or a row of `users` names; what is not given is left out.

    Reads `age` (a number, or its digits) and ATTRIBUTES; other keys are left alone.
    """
    given = {name: str(context[name]).strip() for name in ATTRIBUTES if context.get(name) is not None}
    segment = {name: value for name, value in given.items() if value}
    age = str(context.get("age") or "").strip()
    if age.isascii() and age.isdigit():
        segment["age_band"] = age_band(int(age[:4]))
    return segment


def published_segments(schema: FeatureSchema, people: ReadRows) -> list[dict[str, str]]:
    """The segment that is published of each person: from `user_age` and `user_gender_female`, where they are known.

    people: (n_people, n_features), columns as `schema`.
    """
    segments: list[dict[str, str]] = [{} for _ in people.known]
    for feature, name, worded in ((AGE, "age_band", _band_of), (IS_FEMALE, "gender", _gender_of)):
        column = schema.columns.get(feature)
        if column is not None:
            is_told = people.known & ~people.missing[:, column] & np.isfinite(people.values[:, column])
            for at in np.flatnonzero(is_told).tolist():
                segments[at][name] = worded(float(people.values[at, column]))
    return segments


def told_or_published(told: Mapping[str, str], published: Mapping[str, str]) -> dict[str, str]:
    """The segment of somebody who asks: what they tell, and what is published of them where they tell nothing."""
    return {**published, **told}


def _band_of(age: float) -> str:
    return age_band(int(age))


def _gender_of(is_female: float) -> str:
    return "F" if is_female else "M"


def segments_of_users(users: pl.DataFrame) -> dict[str, dict[str, str]]:
    """By user_id, the segment of each person of a canonical `users` table."""
    return {row["user_id"]: segment_of(row) for row in users.iter_rows(named=True)}
