"""Builds a bundle: everything a release needs is put into one folder, and the manifest closes it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.errors import ReleaseMismatch
from contracts.features import Entity
from contracts.fingerprint import hashed_once
from contracts.id_map import IdMap
from contracts.json_file import load_json, write_json
from contracts.settings.identity_params import ReleasedSettings, released_params
from feature_store.values.values import FeatureValues, load_schemas
from release.bundle.bundle import (
    CATALOGUE,
    EVALUATION,
    FEATURES,
    MEASURED,
    RULES,
    UNRELEASED,
    VALIDATION,
    WINDOW,
    FittedArtefacts,
    Release,
    check_evaluation,
    generators_fingerprint,
    load_bundle,
    load_rules,
)
from release.bundle.manifest import REBUILD, VALUES_FOLDER, Manifest, list_files
from release.bundle.parts import BUILT_WITH, GOLDEN, name_parts
from release.evaluation import measured_window
from release.evaluation.measured_window import values_for
from release.evaluation.report import PER_USER
from release.golden.golden_queries import check_golden, make_golden


@dataclass(frozen=True)
class Ingredients:
    """What a bundle is made of.

    shipped: fitted to as_of, the end of the data; measured: fitted to test_start, and judged in `evaluation`, a
    report folder with the questions that were asked. schemas: the folder of schema.json; values, measured_values: of
    the feature values as of as_of and test_start.
    contexts: what is known of newcomers, for golden queries. data, code: fingerprints.
    """

    settings: ReleasedSettings
    shipped: FittedArtefacts
    measured: FittedArtefacts
    schemas: Path
    values: Path
    measured_values: Path
    evaluation: Path
    validation: Path
    test_start: datetime
    as_of: datetime
    contexts: Sequence[Mapping[str, str]]
    data: Mapping[str, str]
    code: str


@hashed_once()
def build_bundle(folder: Path, ingredients: Ingredients) -> Release:
    """Build the bundle at `folder`, replacing what is there, and load it as a server would, golden queries included.

    The manifest is written last: a build that dies leaves no release. Equal ingredients give equal bytes.
    Raises ReleaseMismatch when ingredients do not belong together.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _copy_parts(folder, ingredients)
    _add_window(folder / MEASURED, ingredients)
    values = FeatureValues.load(folder / VALUES_FOLDER)
    _check_as_of(values, ingredients.values, ingredients.as_of)
    schemas, rules = load_schemas(folder / FEATURES), load_rules(folder)
    release = Release.assemble(FittedArtefacts.below(folder), schemas, rules, ingredients.as_of, values.generation_id)
    _check_items(values, ingredients.values, release.catalogue.ids)
    Release.assemble(FittedArtefacts.below(folder / MEASURED), schemas, rules, ingredients.test_start, UNRELEASED)
    check_evaluation(folder, schemas, rules)
    settings = ingredients.settings
    n_golden = make_golden(
        folder / GOLDEN, release, values, ingredients.contexts, settings.release.n_golden_queries, settings.seed
    )
    name_parts(folder)
    _manifest_of(folder, release, ingredients, n_golden).save(folder)
    built = load_bundle(folder)
    check_golden(built)
    return built


def _copy_parts(folder: Path, ingredients: Ingredients) -> None:
    for fit, home in ((ingredients.shipped, folder), (ingredients.measured, folder / MEASURED)):
        for name, part in fit.parts.items():
            shutil.copytree(part, home / name)
    shutil.copytree(ingredients.shipped.candidates / CATALOGUE, folder / CATALOGUE)
    shutil.copytree(ingredients.values, folder / VALUES_FOLDER)
    (folder / FEATURES).mkdir()
    shutil.copyfile(ingredients.schemas / "schema.json", folder / FEATURES / "schema.json")
    shutil.copyfile(ingredients.evaluation / "metrics.json", folder / EVALUATION)
    shutil.copyfile(ingredients.validation, folder / VALIDATION)
    built_with = {"generators": generators_fingerprint(ingredients.shipped)}
    request = ingredients.settings.request
    left_out = set() if request.placements else {"placements"}  # without any, rules.json is as it was before them
    rules = {BUILT_WITH: built_with, **request.model_dump(mode="json", exclude=left_out)}
    write_json(rules, folder / RULES)


def _add_window(folder: Path, ingredients: Ingredients) -> None:
    """The test window, so that another release can be asked about it."""
    values = FeatureValues.load(ingredients.measured_values)
    _check_as_of(values, ingredients.measured_values, ingredients.test_start)
    values_for(ingredients.evaluation, values).save(folder / measured_window.VALUES)
    for name in (measured_window.CASES, measured_window.POPULARITY, PER_USER):
        shutil.copyfile(ingredients.evaluation / name, folder / name)
    window = {"test_start": ingredients.test_start.isoformat(), "as_of": ingredients.as_of.isoformat()}
    write_json(window, folder / WINDOW)


def _check_as_of(values: FeatureValues, folder: Path, expected: datetime) -> None:
    if values.as_of != expected:
        raise ReleaseMismatch(
            f"The feature values in {folder} are as of {values.as_of.isoformat()}, "
            f"the data they go with ends at {expected.isoformat()}.",
            "They belong to different builds. Run `dvc repro features`.",
        )


def _check_items(values: FeatureValues, folder: Path, item_ids: IdMap) -> None:
    of_values = IdMap.of(values.ids(Entity.ITEM))
    if of_values.fingerprint != item_ids.fingerprint:
        raise ReleaseMismatch(
            f"The feature values in {folder} are of {len(of_values)} items, "
            f"id map {of_values.fingerprint}; the generators know {len(item_ids)}, id map {item_ids.fingerprint}.",
            "They belong to different builds. Run `dvc repro features candidates`.",
        )


def _manifest_of(folder: Path, release: Release, ingredients: Ingredients, n_golden: int) -> Manifest:
    settings = ingredients.settings
    return Manifest(
        app=settings.app,
        generation_id=release.generation_id,
        as_of=ingredients.as_of.isoformat(),
        data=dict(ingredients.data),
        code=ingredients.code,
        params=released_params(settings),
        features=release.feature_order,
        dimensions=release.dimensions,
        artefacts={
            "shipped": FittedArtefacts.below(folder).fingerprints,
            "measured": FittedArtefacts.below(folder / MEASURED).fingerprints,
        },
        golden=n_golden,
        metrics=dict(load_json(folder / EVALUATION, REBUILD).get("headline", {})),
        files=list_files(folder),
    )
