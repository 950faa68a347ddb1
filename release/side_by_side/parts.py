"""The parts that two releases differ in, and each of them put into the other release, where it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from contracts.settings.request import RequestSettings
from recommender.generators.als import AlsGenerator
from recommender.generators.indexed import IndexedGenerator
from recommender.on_demand import on_demand_names
from recommender.ranking.ranking_features import feature_names
from release.bundle.bundle import Release

FEATURES: Final = "features"
RANKER: Final = "ranker"
GENERATORS: Final = "generators"
INDEX: Final = "index"
FEATURES_AND_RANKER: Final = "features and ranker"
REQUEST: Final = "request."
MOST_NAMED: Final = 4


@dataclass(frozen=True)
class Swap:
    """One part of the donor in the base. release: the base with it; None where it does not fit, and then why not.

    note: what to know where it fits all the same.
    """

    part: str
    release: Release | None
    why_not: str = ""
    note: str = ""


def differing_parts(a: Release, b: Release) -> list[str]:
    """What can be swapped by itself and is not the same in both, in the order of the request path."""
    fitted = {
        GENERATORS: _is_other(a, b, "candidates"),
        INDEX: _is_other(a, b, "index"),
        FEATURES: a.schemas.fingerprint != b.schemas.fingerprint,
        RANKER: _is_other(a, b, "ranking"),
    }
    fields = [name for name in RequestSettings.model_fields if getattr(a.request, name) != getattr(b.request, name)]
    parts = [f"{REQUEST}{name}" for name in fields] + [name for name, is_other in fitted.items() if is_other]
    return [*parts, FEATURES_AND_RANKER] if fitted[FEATURES] and fitted[RANKER] else parts


def swap(part: str, base: Release, donor: Release) -> Swap:
    """The base with this part of the donor."""
    if part.startswith(REQUEST):
        return _with_rule(part, base, donor)
    return _SWAPS[part](base, donor)


def _is_other(a: Release, b: Release, artefact: str) -> bool:
    ours, theirs = (one.manifest.artefacts["measured"][artefact] if one.manifest else None for one in (a, b))
    return ours is None or ours != theirs


def _with_rule(part: str, base: Release, donor: Release) -> Swap:
    name = part.removeprefix(REQUEST)
    unknown = _asked_of_nobody(donor.request.quotas, base) if name == "quotas" else []
    if unknown:
        return Swap(part, None, f"quotas for generators that are not there: {', '.join(unknown)}")
    return Swap(part, base.with_rules(**{name: getattr(donor.request, name)}))


def _asked_of_nobody(quotas: Mapping[str, int], release: Release) -> list[str]:
    """The generators that are asked for candidates, and are not there."""
    return sorted(name for name, quota in quotas.items() if quota and name not in release.generators)


def _with_features(base: Release, donor: Release) -> Swap:
    swapped = replace(base, schemas=donor.schemas)
    return _if_ranked(FEATURES, swapped, "the ranker that stays was trained on other features")


def _with_ranker(base: Release, donor: Release) -> Swap:
    note = _trained_with(base, donor)
    return _if_ranked(RANKER, replace(base, ranker=donor.ranker), "it was trained on other features", note)


def _with_features_and_ranker(base: Release, donor: Release) -> Swap:
    swapped, note = replace(base, schemas=donor.schemas, ranker=donor.ranker), _trained_with(base, donor)
    return _if_ranked(FEATURES_AND_RANKER, swapped, "it was trained on the scores of other generators", note)


def _with_generators(base: Release, donor: Release) -> Swap:
    swapped = replace(base, catalogue=donor.catalogue, generators=donor.generators, index=donor.index)
    same_items = base.catalogue.ids.fingerprint == donor.catalogue.ids.fingerprint
    sizes = f" of {len(donor.catalogue):,} items, instead of {len(base.catalogue):,}"
    note = "with their index" + ("" if same_items else f" and their catalogue{sizes}")
    missing = _asked_of_nobody(base.request.quotas, donor)
    if missing:
        return Swap(GENERATORS, None, f"the quotas that stay ask for {', '.join(missing)}, which are not among them")
    return _if_ranked(GENERATORS, swapped, "the ranker that stays was trained on the scores of other generators", note)


def _with_index(base: Release, donor: Release) -> Swap:
    if base.index.embeddings_fingerprint != donor.index.embeddings_fingerprint:
        why_not = (
            f"it holds the vectors {donor.index.embeddings_fingerprint} of its own ALS, the generator that stays has "
            f"{base.index.embeddings_fingerprint}: an index goes with its generators"
        )
        return Swap(INDEX, None, why_not)
    generators = {
        name: IndexedGenerator(_als_of(one), donor.index) if isinstance(one, IndexedGenerator) else one
        for name, one in base.generators.items()
    }
    return Swap(INDEX, replace(base, generators=generators, index=donor.index))


def _als_of(generator: IndexedGenerator) -> AlsGenerator:
    return generator.als


_SWAPS: Final[dict[str, Callable[[Release, Release], Swap]]] = {
    FEATURES: _with_features,
    RANKER: _with_ranker,
    FEATURES_AND_RANKER: _with_features_and_ranker,
    GENERATORS: _with_generators,
    INDEX: _with_index,
}


def _if_ranked(part: str, swapped: Release, why_not: str, note: str = "") -> Swap:
    """The swap where its ranker is given the very columns that it was trained on, in their order."""
    ranker = swapped.ranker
    given = feature_names(swapped.schemas, sorted(swapped.generators), on_demand_names(ranker.feature_names))
    if given == ranker.feature_names:
        return Swap(part, swapped, note=note)
    return Swap(part, None, f"{why_not}: {_difference_of(given, ranker.feature_names)}")


def _difference_of(given: Sequence[str], needed: Sequence[str]) -> str:
    told = list(_differences(given, needed))
    return "; ".join(told) or "the same ones in another order"


def _differences(given: Sequence[str], needed: Sequence[str]) -> Iterator[str]:
    for what, names in (("it lacks", set(needed) - set(given)), ("it does not know", set(given) - set(needed))):
        if names:
            first, n_more = sorted(names)[:MOST_NAMED], len(names) - MOST_NAMED
            yield f"{what} {', '.join(first)}" + (f" and {n_more} more" if n_more > 0 else "")


def _trained_with(base: Release, donor: Release) -> str:
    """What the donor's ranker learnt from that the base does not have."""
    others = [
        part
        for part, trained_with in sorted(donor.ranker.built_with.items())
        if base.ranker.built_with.get(part) != trained_with
    ]
    return f"it was trained with other {' and '.join(others)}" if others else ""
