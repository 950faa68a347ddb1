"""All generators of one build: fitted, saved and loaded together.

<folder>/catalogue/     the items they know
<folder>/<name>/        one artefact per generator
<folder>/meta.json      built_with: the fingerprint of each of the above
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import META, Meta, load_meta, reading, save_artefact
from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import ReleaseMismatch, SettingsError
from contracts.settings.candidates import NAME, CandidateSettings, PopularSettings
from contracts.tables import CanonicalTables
from recommender.catalogue import Catalogue
from recommender.generators.als import AlsGenerator
from recommender.generators.base import FitInputs, Generator
from recommender.generators.content import ContentGenerator
from recommender.generators.deep import sequence, two_tower
from recommender.generators.deep.guest import Guest
from recommender.generators.deep.sequence import SequenceGenerator
from recommender.generators.deep.two_tower import TwoTowerGenerator
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.generators.neighbours import (
    fit_covisitation,
    fit_covisitation_max,
    fit_item_to_item,
    fit_next_visit,
)
from recommender.generators.new_arrivals import NewArrivalsGenerator
from recommender.generators.own import OwnGenerator, code_fingerprint_of, own_class, own_classes, reference_of
from recommender.generators.popular import PopularGenerator
from recommender.generators.popular_segment import PopularSegmentGenerator
from recommender.interactions import KnownEvents
from recommender.segments import segments_of_users

KIND = "generators"
CATALOGUE = "catalogue"

_LOADERS: dict[str, Callable[[Path, Catalogue], Generator]] = {
    "als": AlsGenerator.load,
    "content": ContentGenerator.load,
    "covisitation": partial(ItemToItemGenerator.load, name="covisitation"),
    "covisitation_max": partial(ItemToItemGenerator.load, name="covisitation_max"),
    "ease": partial(ItemToItemGenerator.load, name="ease"),
    "graph_filter": partial(ItemToItemGenerator.load, name="graph_filter"),
    "new_arrivals": NewArrivalsGenerator.load,
    "next_visit": partial(ItemToItemGenerator.load, name="next_visit"),
    "popular": partial(PopularGenerator.load, name="popular"),
    "popular_newcomers": partial(PopularGenerator.load, name="popular_newcomers"),
    "popular_recent": partial(PopularGenerator.load, name="popular_recent"),
    "popular_returning": partial(PopularGenerator.load, name="popular_returning"),
    "popular_segment": PopularSegmentGenerator.load,
    "sequence": SequenceGenerator.load,
    "similar_texts": partial(ItemToItemGenerator.load, name="similar_texts"),
    "two_tower": TwoTowerGenerator.load,
}
GENERATOR_NAMES = tuple(_LOADERS)
OF_ITEMS_ALONE = frozenset({"similar_texts"})  # that no event has a part in: of equal catalogues they are equal
ITEM_TO_ITEM = "item_to_item"  # the kind of further item-to-item generators, whatever their names


def asked_in_vain(quotas: Mapping[str, int], there: Collection[str]) -> list[str]:
    """The names of quotas that are of no generator that is there; one that is off may still have the quota 0."""
    missing = sorted(quotas.keys() - set(there))
    return [name for name in missing if quotas[name] or name not in GENERATOR_NAMES]


@dataclass(frozen=True)
class GeneratorSet:
    """The generators of one build, by name, and the catalogue they share; fingerprint: of all of it."""

    catalogue: Catalogue
    by_name: Mapping[str, Generator]
    fingerprint: str


def fit_generators(
    tables: CanonicalTables,
    catalogue: Catalogue,
    as_of: datetime,
    settings: CandidateSettings,
    seed: int,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> dict[str, Generator]:
    """Fit every generator that is not off on what happened strictly before `as_of`; progress: over their names.

    Purchases that were taken back by then have not happened.
    """
    (generators,) = fit_at_each(tables, [(as_of, catalogue)], settings, seed, progress)
    return generators


def fit_at_each(
    tables: CanonicalTables,
    moments: Sequence[tuple[datetime, Catalogue]],
    settings: CandidateSettings,
    seed: int,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> Iterator[dict[str, Generator]]:
    """The generators as `fit_generators` fits them, to the byte, as of each moment; the catalogues have the same items.

    What the fits have in common is worked out once.
    """
    events, segments = KnownEvents.of(tables.interactions, moments[0][1].ids), segments_of_users(tables.users)
    before: tuple[Catalogue, dict[str, Generator]] | None = None
    for as_of, catalogue in moments:
        known = FitInputs(events.before(as_of), catalogue, as_of.timestamp(), segments, seed)
        fits = {name: fit for name, fit in _fits(known, settings).items() if name not in settings.off}
        if before is not None and before[0] is catalogue:
            fits |= {name: partial(before[1].__getitem__, name) for name in OF_ITEMS_ALONE & fits.keys()}
        generators = {name: fits[name]() for name in progress(list(fits))}
        before = catalogue, {name: generators[name] for name in OF_ITEMS_ALONE & generators.keys()}
        yield generators


def fit_one(
    name: str, tables: CanonicalTables, catalogue: Catalogue, as_of: datetime, settings: CandidateSettings, seed: int
) -> Generator:
    """The generator of this name as `fit_generators` fits it, to the byte, and no other; KeyError for none of these."""
    events = KnownEvents.of(tables.interactions, catalogue.ids).before(as_of)
    known = FitInputs(events, catalogue, as_of.timestamp(), segments_of_users(tables.users), seed)
    return _fits(known, settings)[name]()


def guests_wanted(settings: CandidateSettings) -> list[Guest]:
    """Those that train a generator of these settings."""
    guests = []
    if settings.sequence is not None and "sequence" not in settings.off:
        guests.append(sequence.GUEST)
    if settings.two_tower is not None and "two_tower" not in settings.off:
        guests.append(two_tower.GUESTS[settings.two_tower.engine])
    return guests


def _fits(known: FitInputs, settings: CandidateSettings) -> dict[str, Callable[[], Generator]]:
    """By name, how each generator is fitted; nothing is, before it is called."""
    interactions, catalogue, as_of = known.interactions, known.catalogue, known.as_of
    pairs = settings.covisitation
    return {
        "als": lambda: AlsGenerator.fit(interactions, catalogue, settings.als, known.seed),
        "content": lambda: ContentGenerator.fit(interactions, catalogue),
        "covisitation": lambda: fit_covisitation(interactions, catalogue, as_of, pairs),
        "covisitation_max": lambda: fit_covisitation_max(interactions, catalogue, pairs),
        "new_arrivals": lambda: NewArrivalsGenerator.fit(interactions, catalogue, as_of),
        "next_visit": lambda: fit_next_visit(interactions, catalogue, as_of, pairs, settings.next_visit.step_weight),
        **_fits_of_popular(known, settings.popular),
        **_fits_where_given(known, settings),
        **_fits_of_own(known, settings),
    }


def _fits_of_own(known: FitInputs, settings: CandidateSettings) -> dict[str, Callable[[], Generator]]:
    classes = own_classes(settings.own, taken=(*GENERATOR_NAMES, *settings.item_to_item))
    return {name: partial(own.fit, known) for name, own in classes.items()}


def _fits_where_given(known: FitInputs, settings: CandidateSettings) -> dict[str, Callable[[], Generator]]:
    # The server loads generators and never fits: it need not pay for the libraries of these.
    from recommender.generators.dense_pairs import fit_ease, fit_graph_filter  # noqa: PLC0415 see above
    from recommender.generators.similar_texts import fit_similar_texts  # noqa: PLC0415 see above

    interactions, catalogue, as_of = known.interactions, known.catalogue, known.as_of
    pairs, ease, graph_filter = settings.covisitation, settings.ease, settings.graph_filter
    fits: dict[str, Callable[[], Generator]] = {
        name: partial(fit_item_to_item, name, interactions, catalogue, as_of, pairs, own)
        for name, own in settings.item_to_item.items()
    }
    if ease is not None:
        fits["ease"] = lambda: fit_ease(interactions, catalogue, as_of, ease, pairs.history_length)
    if graph_filter is not None:
        fits["graph_filter"] = lambda: fit_graph_filter(
            interactions, catalogue, as_of, graph_filter, pairs.history_length
        )
    if (of_sequence := settings.sequence) is not None:
        fits["sequence"] = lambda: SequenceGenerator.fit(known, of_sequence)
    if (of_texts := settings.similar_texts) is not None:
        fits["similar_texts"] = lambda: fit_similar_texts(catalogue, of_texts, pairs.history_length)
    if (of_towers := settings.two_tower) is not None:
        fits["two_tower"] = lambda: TwoTowerGenerator.fit(known, of_towers)
    return fits


def _fits_of_popular(known: FitInputs, settings: PopularSettings) -> dict[str, Callable[[], Generator]]:
    def popular(name: str, weights: Callable[[], npt.NDArray[np.float64] | None]) -> Callable[[], Generator]:
        return lambda: PopularGenerator.fit(name, known.interactions, known.catalogue, weights())

    def recent() -> npt.NDArray[np.float64]:
        return (known.days <= settings.recent_days).astype(np.float64)

    weights: dict[str, Callable[[], npt.NDArray[np.float64] | None]] = {
        "popular": lambda: None,
        "popular_newcomers": lambda: recent() * ~known.returning,
        "popular_recent": recent,
        "popular_returning": lambda: np.exp(-known.days / settings.recent_days) * known.returning,
    }
    return {
        **{name: popular(name, weights_of) for name, weights_of in weights.items()},
        "popular_segment": lambda: PopularSegmentGenerator.fit(
            known.interactions,
            known.catalogue,
            known.segments,
            since=known.as_of - settings.recent_days * SECONDS_PER_DAY,
            smoothing=settings.segment_smoothing,
        ),
    }


def save_generators(folder: Path, catalogue: Catalogue, generators: Mapping[str, Generator]) -> Meta:
    """Write catalogue and generators, each into a folder of its own, and then the meta that binds them."""
    built_with = {CATALOGUE: catalogue.save(folder / CATALOGUE).fingerprint}
    for name, generator in generators.items():
        built_with[name] = generator.save(folder / name).fingerprint
    values: dict[str, Any] = {"generators": sorted(generators)}
    if kinds := {name: kind for name, one in generators.items() if (kind := kind_of(one)) is not None}:
        values["kinds"] = kinds
    if own := {name: code_fingerprint_of(one) for name, one in generators.items() if isinstance(one, OwnGenerator)}:
        values["own_code"] = own  # so that the set, and with it the release, is named after it, too
    return save_artefact(folder, KIND, built_with=built_with, values=values)


def kind_of(generator: Generator) -> str | None:
    """What a generator is, where its name does not say so: a class of a team's own, or further item to item."""
    if isinstance(generator, OwnGenerator):
        return reference_of(generator)
    return None if generator.name in GENERATOR_NAMES else ITEM_TO_ITEM


def load_generators(folder: Path) -> GeneratorSet:
    """Read what `save_generators` wrote.

    Raises ArtefactError when something is damaged, ReleaseMismatch when a part is of another build.
    """
    meta = load_meta(folder, KIND)
    catalogue = Catalogue.load(folder / CATALOGUE)
    _check_part(folder, meta, CATALOGUE, CATALOGUE)
    with reading(folder / META):
        names = [str(name) for name in meta.values["generators"]]
        kinds = {str(name): str(kind) for name, kind in meta.values.get("kinds", {}).items()}
    by_name = {}
    for name in names:
        by_name[name] = load_generator(folder, name, catalogue, kinds.get(name))
        _check_part(folder, meta, name, f"generator-{name}")
    return GeneratorSet(catalogue, by_name, meta.fingerprint)


def load_generator(folder: Path, name: str, catalogue: Catalogue, kind: str | None = None) -> Generator:
    """One generator, of its own folder within `folder`; kind: of one with a name that params.yaml gave it."""
    with reading(folder / name):
        return _loader(folder, name, kind)(folder / name, catalogue)


def _loader(folder: Path, name: str, kind: str | None) -> Callable[[Path, Catalogue], Generator]:
    if kind == ITEM_TO_ITEM and NAME.fullmatch(name):
        return partial(ItemToItemGenerator.load, name=name)
    if kind is not None and ":" in kind:
        return _own_loader(folder, name, kind)
    if kind is None and name in _LOADERS:
        return _LOADERS[name]
    told = f" of kind {kind!r}" if kind is not None else ""
    raise ReleaseMismatch(
        f"{folder} holds a generator {name!r}{told}; this Slatework knows {', '.join(sorted(_LOADERS))}, others of "
        f"kind {ITEM_TO_ITEM}, and classes of the project's own.",
        "Check out the code that the release was built with: `git checkout release/<id>`.",
    )


def _own_loader(folder: Path, name: str, reference: str) -> Callable[[Path, Catalogue], Generator]:
    try:
        own = own_class(reference)
    except SettingsError as error:
        raise ReleaseMismatch(
            f"{folder} holds a generator {name!r} of the project's own. {error.problem}",
            "Run in the project's folder, with the code that the release was built with: `git checkout release/<id>`.",
        ) from error
    if own.name != name:
        raise ReleaseMismatch(
            f"{folder} holds {name!r} as {reference}, whose name is {own.name!r}.",
            "Check out the code that the release was built with: `git checkout release/<id>`.",
        )
    return own.load


def _check_part(folder: Path, meta: Meta, name: str, kind: str) -> None:
    found, expected = load_meta(folder / name, kind).fingerprint, meta.built_with.get(name, "nothing")
    if found != expected:
        raise ReleaseMismatch(
            f"{folder / name} is build {found}, but its set was saved with build {expected}.",
            "They belong to different releases. Run `dvc repro candidates`, or check out one release.",
        )
