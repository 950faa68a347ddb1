"""A release in memory: everything that answers a request, loaded together and checked against one another.

<bundle>/manifest.json                what it is; written last
<bundle>/catalogue/                   the items
<bundle>/candidates/ index/ ranking/  fitted to the end of the data: what is served
<bundle>/features/schema.json         names, order and defaults of the feature rows
<bundle>/values/                      the feature values as of the end of the data: the first generation
<bundle>/measured/                    candidates/ index/ ranking/ fitted before the test window: what was measured;
                                      window.json: where that window starts and ends; from format version 2 on the
                                      window itself (see release.evaluation.measured_window)
<bundle>/rules.json                   how a request is answered: quotas, thresholds, weights
<bundle>/golden/                      requests, the values they need, and the answers expected
<bundle>/evaluation.json              how good it is; validation.json: how clean its data was
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from contracts.artefact import META, check_built_with, load_meta, reading
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.fingerprint import fingerprint_file, fingerprint_json, hashed_once
from contracts.json_file import load_json
from contracts.settings.request import RequestSettings
from feature_store.values.file_names import VALUES
from feature_store.values.values import FeatureSchemas, load_schemas
from recommender.catalogue import Catalogue
from recommender.filters import CatalogueFilters
from recommender.generators.als import AlsGenerator
from recommender.generators.base import Generator
from recommender.generators.indexed import IndexedGenerator
from recommender.generators.sets import KIND as GENERATORS
from recommender.generators.sets import GeneratorSet, asked_in_vain, load_generators
from recommender.index.vector_index import VectorIndex
from recommender.on_demand import on_demand_names
from recommender.ranking.ranker import Ranker
from recommender.ranking.ranking_features import feature_names
from release.bundle.manifest import REBUILD, VALUES_FOLDER, Manifest
from release.bundle.parts import BUILT_WITH, check_whole

Kept = TypeVar("Kept")

# What a release calls itself before its bundle has a manifest, and with it an id.
UNRELEASED: Final = "unreleased"

CATALOGUE: Final = "catalogue"
FEATURES: Final = "features"
MEASURED: Final = "measured"
WINDOW: Final = "window.json"
RULES: Final = "rules.json"
EVALUATION: Final = "evaluation.json"
VALIDATION: Final = "validation.json"


@dataclass(frozen=True)
class FittedArtefacts:
    """Where the artefacts fitted for one cutoff lie."""

    candidates: Path
    index: Path
    ranking: Path

    @classmethod
    def below(cls, folder: Path) -> FittedArtefacts:
        """The layout of a bundle, and of its `measured/`."""
        return cls(folder / "candidates", folder / "index", folder / "ranking")

    @property
    def parts(self) -> dict[str, Path]:
        return {"candidates": self.candidates, "index": self.index, "ranking": self.ranking}

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of each artefact's whole content, by name."""
        return {name: fingerprint_file(folder / META) for name, folder in self.parts.items()}


@dataclass(frozen=True)
class Release:
    """Everything that answers a request.

    generation_id: of the feature values it was built with; fresher ones may be served. as_of: the end of its data.
    generators: by name, `als` through the index. request: how it answers.
    manifest, folder: None until it is a bundle.
    """

    release_id: str
    generation_id: str
    as_of: datetime
    catalogue: Catalogue
    generators: Mapping[str, Generator]
    index: VectorIndex
    ranker: Ranker
    schemas: FeatureSchemas
    request: RequestSettings
    manifest: Manifest | None = None
    folder: Path | None = None

    @classmethod
    @hashed_once()
    def assemble(
        cls,
        fit: FittedArtefacts,
        schemas: FeatureSchemas,
        request: RequestSettings,
        as_of: datetime,
        generation_id: str,
        *,
        manifest: Manifest | None = None,
        folder: Path | None = None,
    ) -> Release:
        """Load the artefacts of one cutoff, and check that they were built with one another.

        Raises ArtefactError when one is damaged, ReleaseMismatch printing both fingerprints when two disagree.
        """
        generators = load_generators(fit.candidates)
        index = VectorIndex.load(fit.index, generators.catalogue.ids)
        ranker = Ranker.load(fit.ranking)
        _check_ranker(fit.ranking, ranker, generators, schemas)
        unreleased = cls.of_fit(generators, index, ranker, schemas, request, as_of, generation_id)
        release_id = manifest.release_id if manifest else UNRELEASED
        return replace(unreleased, release_id=release_id, manifest=manifest, folder=folder)

    @classmethod
    def of_fit(
        cls,
        generators: GeneratorSet,
        index: VectorIndex,
        ranker: Ranker,
        schemas: FeatureSchemas,
        request: RequestSettings,
        as_of: datetime,
        generation_id: str,
    ) -> Release:
        """What was just fitted, as a release that has no id yet; raises ReleaseMismatch for a quota of no generator."""
        _check_quotas(request, generators)
        return cls(
            release_id=UNRELEASED,
            generation_id=generation_id,
            as_of=as_of,
            catalogue=generators.catalogue,
            generators={name: _through_index(generator, index) for name, generator in generators.by_name.items()},
            index=index,
            ranker=ranker,
            schemas=schemas,
            request=request,
        )

    @cached_property
    def quotas(self) -> dict[str, int]:
        """How many candidates are asked of each generator that is there; one that is off may still have the quota 0."""
        return {name: quota for name, quota in self.request.quotas.items() if name in self.generators}

    @cached_property
    def computed_features(self) -> tuple[str, ...]:
        """The on-demand features: those that the ranker was trained on, and none that came later."""
        return on_demand_names(self.ranker.feature_names)

    @cached_property
    def filters(self) -> CatalogueFilters:
        """What requests may ask of items, and what was compiled of it lately."""
        return CatalogueFilters(self.catalogue, self.release_id)

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, made once for as long as the release is kept. key: of few; what it is, and of what."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("Kept", self._kept[key])

    @cached_property
    def _kept(self) -> dict[Hashable, Any]:
        return {}

    def with_rules(self, **changes: object) -> Release:
        """The same release, answering by other rules of `request`; filters are of its catalogue, and shared."""
        return self._answering_by(self.request.model_copy(update=changes))

    def at(self, placement: str) -> Release:
        """The same release, answering by the parameters of one of its placements; made once, and kept."""
        if not self.request.all_placements[placement].request:
            return self
        if placement not in self._at:
            self._at[placement] = self._answering_by(self.request.at(placement))
        return self._at[placement]

    @cached_property
    def _at(self) -> dict[str, Release]:
        return {}

    def _answering_by(self, request: RequestSettings) -> Release:
        other = replace(self, request=request)
        vars(other)["filters"] = self.filters
        return other

    @property
    def dimensions(self) -> dict[str, int]:
        """How large its parts are."""
        return {
            "n_items": len(self.catalogue),
            "n_generators": len(self.generators),
            "n_vectors": len(self.index.item_idx),
            "vector_dim": self.index.dim,
            "n_user_features": len(self.schemas.user.features),
            "n_item_features": len(self.schemas.item.features),
            "n_ranking_features": len(self.ranker.feature_names),
        }

    @property
    def feature_order(self) -> dict[str, list[str]]:
        """The names of the features in the order of a row, of people, of items and of the ranker's input."""
        return {
            "user": list(self.schemas.user.names),
            "item": list(self.schemas.item.names),
            "ranking": list(self.ranker.feature_names),
        }


@hashed_once()
def load_bundle(folder: Path, checked: Manifest | None = None) -> Release:
    """Load what a bundle serves, after every byte of it was compared with its manifest.

    checked: the manifest, where that was done already (`check_contents`).
    Raises ArtefactError when there is no manifest, it is damaged or of another format version; ReleaseMismatch, with
    both values, when a file or a part is not what the manifest says.
    """
    manifest = checked or check_whole(folder)
    release = Release.assemble(
        FittedArtefacts.below(folder),
        load_schemas(folder / FEATURES),
        load_rules(folder),
        manifest.moment,
        _generation_of(folder),
        manifest=manifest,
        folder=folder,
    )
    _check_described(release, manifest, folder)
    check_evaluation(folder, release.schemas, release.request)
    return release


@hashed_once()
def load_measured(folder: Path, checked: Manifest | None = None) -> Release:
    """Load what was measured: the same release, fitted before the test window; its as_of is where that window starts.

    checked, and what is raised: as of `load_bundle`.
    """
    manifest = checked or check_whole(folder)
    return Release.assemble(
        FittedArtefacts.below(folder / MEASURED),
        load_schemas(folder / FEATURES),
        load_rules(folder),
        measured_from(folder),
        _generation_of(folder),
        manifest=manifest,
        folder=folder,
    )


def measured_from(folder: Path) -> datetime:
    """Where a bundle's test window starts, and what it measured stopped learning; raises ArtefactError when damaged."""
    path = folder / MEASURED / WINDOW
    with reading(path):
        start = datetime.fromisoformat(load_json(path, REBUILD)["test_start"])
    if start.tzinfo is None:
        raise ArtefactError(f"{path} is damaged: test_start {start.isoformat()} has no time zone.", REBUILD)
    return start


def load_rules(folder: Path) -> RequestSettings:
    """How the release answers.

    Raises ArtefactError when rules.json is missing or damaged, ReleaseMismatch when it was made with other generators.
    """
    content = load_json(folder / RULES, REBUILD)
    with reading(folder / RULES):
        built_with = dict(content.pop(BUILT_WITH, {}))
        rules = RequestSettings.model_validate(content)
    if built_with:
        check_built_with(
            f"rules {folder / RULES}", built_with, "generators", generators_fingerprint(FittedArtefacts.below(folder))
        )
    return rules


def generators_fingerprint(fit: FittedArtefacts) -> str:
    """What the ranker and the rules name of the generators they were made with."""
    return load_meta(fit.candidates, GENERATORS).fingerprint


def measured_with(fit: FittedArtefacts, schemas: FeatureSchemas, request: RequestSettings) -> dict[str, str]:
    """What an evaluation card names: the fingerprints of everything it measured."""
    return {**fit.fingerprints, "feature schemas": schemas.fingerprint, "rules": _rules_fingerprint(request)}


def _through_index(generator: Generator, index: VectorIndex) -> Generator:
    return IndexedGenerator(generator, index) if isinstance(generator, AlsGenerator) else generator


def _generation_of(folder: Path) -> str:
    return str(load_json(folder / VALUES_FOLDER / VALUES, REBUILD).get("generation_id"))


def _rules_fingerprint(request: RequestSettings) -> str:
    # A parameter that came later changes no fingerprint of before, as long as it changes nothing.
    return fingerprint_json(request.model_dump(mode="json", exclude_defaults=True))


def _check_quotas(request: RequestSettings, generators: GeneratorSet) -> None:
    unknown = asked_in_vain(request.quotas, generators.by_name)
    if unknown:
        raise ReleaseMismatch(
            f"The rules {_rules_fingerprint(request)} ask {', '.join(unknown)} for candidates; the generators "
            f"{generators.fingerprint} are {', '.join(sorted(generators.by_name))}.",
            "Mend request.quotas in params.yaml (what candidates.off names has 0 or no quota), or fit the generators "
            "again: `dvc repro candidates`.",
        )


def _check_ranker(folder: Path, ranker: Ranker, generators: GeneratorSet, schemas: FeatureSchemas) -> None:
    """Whether it was trained with these generators and feature schemas, on features that they can give it."""
    used_with = {"generators": generators.fingerprint, "feature schemas": schemas.fingerprint}
    for part, expected in used_with.items():
        trained_with = ranker.built_with.get(part, "nothing")
        if trained_with != expected:
            raise ReleaseMismatch(
                f"The ranker {folder} was trained with {part} {trained_with}, but is used with {part} {expected}.",
                "They belong to different releases. Run `dvc repro ranking`, or check out one release: "
                "`git checkout release/<id> && dvc checkout`.",
            )
    computed = on_demand_names(ranker.feature_names)
    ranker.check_features(feature_names(schemas, sorted(generators.by_name), computed))


def _check_described(release: Release, manifest: Manifest, folder: Path) -> None:
    """Refuse a bundle whose parts are whole, but not those that the manifest describes."""
    loaded = {
        "generation_id": release.generation_id,
        "catalogue": Catalogue.load(folder / CATALOGUE).fingerprint,
        "features": release.feature_order,
        "shipped artefacts": FittedArtefacts.below(folder).fingerprints,
        "measured artefacts": FittedArtefacts.below(folder / MEASURED).fingerprints,
        "dimensions": release.dimensions,
    }
    described = {
        "generation_id": manifest.generation_id,
        "catalogue": release.catalogue.fingerprint,
        "features": manifest.features,
        "shipped artefacts": manifest.artefacts.get("shipped"),
        "measured artefacts": manifest.artefacts.get("measured"),
        "dimensions": manifest.dimensions,
    }
    for name, value in loaded.items():
        if value != described[name]:
            raise ReleaseMismatch(f"{folder}: {name} is {value}, the manifest says {described[name]}.", REBUILD)


def check_evaluation(folder: Path, schemas: FeatureSchemas, request: RequestSettings) -> None:
    """Refuse an evaluation card of something else than what lies in `measured/`; both fingerprints are printed."""
    card = load_json(folder / EVALUATION, REBUILD)
    with reading(folder / EVALUATION):
        named = dict(card.get(BUILT_WITH, {}))
    measured = measured_with(FittedArtefacts.below(folder / MEASURED), schemas, request)
    for part in sorted(named):
        check_built_with(f"evaluation {folder / EVALUATION}", named, part, measured.get(part, "nothing"))
