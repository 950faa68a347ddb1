"""All generators of one build: fitted, saved and loaded together.

<folder>/catalogue/     the items they know
<folder>/<name>/        one artefact per generator
<folder>/meta.json      built_with: the fingerprint of each of the above
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from contracts.artefact import Meta, load_meta, save_artefact
from contracts.errors import ReleaseMismatch
from contracts.settings import CandidateSettings
from contracts.tables import CanonicalTables
from recommender.catalogue import Catalogue
from recommender.events import Events
from recommender.generators.als import AlsGenerator
from recommender.generators.base import Generator
from recommender.generators.content import ContentGenerator
from recommender.generators.covisitation import CovisitationGenerator
from recommender.generators.popular import PopularGenerator, PopularSegmentGenerator
from recommender.segments import segments_of_users

KIND = "generators"
CATALOGUE = "catalogue"

_LOADERS: dict[str, Callable[[Path, Catalogue], Generator]] = {
    "als": AlsGenerator.load,
    "content": ContentGenerator.load,
    "covisitation": CovisitationGenerator.load,
    "popular": lambda folder, catalogue: PopularGenerator.load(folder, catalogue, "popular"),
    "popular_recent": lambda folder, catalogue: PopularGenerator.load(folder, catalogue, "popular_recent"),
    "popular_segment": PopularSegmentGenerator.load,
}


@dataclass(frozen=True)
class GeneratorSet:
    """The generators of one build, by name, and the catalogue they share; fingerprint: of all of it."""

    catalogue: Catalogue
    by_name: Mapping[str, Generator]
    fingerprint: str


def fit_generators(
    tables: CanonicalTables, catalogue: Catalogue, as_of: datetime, settings: CandidateSettings, seed: int
) -> dict[str, Generator]:
    """Fit every generator on what happened strictly before `as_of`."""
    events = Events.of(tables.interactions.filter(pl.col("event_ts") < as_of), catalogue.ids)
    since = (as_of - timedelta(days=settings.popular.recent_days)).timestamp()
    segments = segments_of_users(tables.users)
    smoothing = settings.popular.segment_smoothing
    generators: list[Generator] = [
        AlsGenerator.fit(events, catalogue, settings.als, seed),
        ContentGenerator.fit(events, catalogue),
        CovisitationGenerator.fit(events, catalogue, settings.covisitation),
        PopularGenerator.fit("popular", events, catalogue),
        PopularGenerator.fit("popular_recent", events, catalogue, since),
        PopularSegmentGenerator.fit(events, catalogue, segments, since, smoothing),
    ]
    return {generator.name: generator for generator in generators}


def save_generators(folder: Path, catalogue: Catalogue, generators: Mapping[str, Generator]) -> Meta:
    """Write catalogue and generators, each into a folder of its own, and then the meta that binds them."""
    built_with = {CATALOGUE: catalogue.save(folder / CATALOGUE).fingerprint}
    for name, generator in generators.items():
        built_with[name] = generator.save(folder / name).fingerprint
    return save_artefact(folder, KIND, built_with=built_with, values={"generators": sorted(generators)})


def load_generators(folder: Path) -> GeneratorSet:
    """Read what `save_generators` wrote.

    Raises ArtefactError when something is damaged, ReleaseMismatch when a part is of another build.
    """
    meta = load_meta(folder, KIND)
    catalogue = Catalogue.load(folder / CATALOGUE)
    _check_part(folder, meta, CATALOGUE, CATALOGUE)
    by_name = {}
    for name in meta.values["generators"]:
        by_name[name] = _load_one(folder, name, catalogue)
        _check_part(folder, meta, name, f"generator-{name}")
    return GeneratorSet(catalogue, by_name, meta.fingerprint)


def _load_one(folder: Path, name: str, catalogue: Catalogue) -> Generator:
    if name not in _LOADERS:
        raise ReleaseMismatch(
            f"{folder} holds a generator {name!r}; this Slatework knows {', '.join(sorted(_LOADERS))}.",
            "Check out the code that the release was built with: `git checkout release/<id>`.",
        )
    return _LOADERS[name](folder / name, catalogue)


def _check_part(folder: Path, meta: Meta, name: str, kind: str) -> None:
    found, expected = load_meta(folder / name, kind).fingerprint, meta.built_with.get(name, "nothing")
    if found != expected:
        raise ReleaseMismatch(
            f"{folder / name} is build {found}, but its set was saved with build {expected}.",
            "They belong to different releases. Run `dvc repro candidates`, or check out one release.",
        )
