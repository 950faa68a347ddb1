"""Bundles of every format version so far, as they were written then; today's code must still understand them."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.ids import UserId
from contracts.slates import RecommendRequest
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from recommender.catalogue import Catalogue
from release.answering.request_path import answer
from release.answering.request_query import read_person, retrieval_query
from release.bundle.bundle import load_bundle, load_measured
from release.bundle.manifest import FORMAT_VERSION, MANIFEST, list_files, load_manifest
from release.evaluation.measured_window import MeasuredWindow
from release.golden.golden_queries import load_queries
from tests.integration.bundles.test_bundle import reseal

HERE = Path(__file__).resolve().parent
NEWEST = HERE / f"bundle_v{FORMAT_VERSION}"
NAMES = sorted(list_files(NEWEST))
WINDOW_FILES = [name for name in NAMES if name.startswith(("measured/values", "measured/cases", "measured/pop"))]
ITEM_IDS = Catalogue.load(NEWEST / "catalogue").ids


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
def test_a_bundle_of_every_version_so_far_loads_and_answers(version: int) -> None:
    folder = HERE / f"bundle_v{version}"
    release = load_bundle(folder)
    load_measured(folder)
    values = FeatureValues.load(folder / "values")
    reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
    request = RecommendRequest("q", user_id=UserId(values.users["user_id"][0]), k=3)
    slate = answer(release, reader, FixedClock(release.as_of), request)
    assert slate.release_id == load_manifest(folder).release_id
    assert slate.degraded == ()
    assert len(slate.items) == 3


def test_of_the_newest_version_nothing_is_proposed_again_that_somebody_ever_touched() -> None:
    release, values = load_bundle(NEWEST), FeatureValues.load(NEWEST / "values")
    reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
    long = values.histories.filter(pl.col("older_item_ids").list.len() > 0)
    assert long.height > 0
    for row in long.iter_rows(named=True):
        request = RecommendRequest("q", user_id=UserId(row["user_id"]), k=3)
        query = retrieval_query(release, request, read_person(release, reader, request, release.as_of), release.as_of)
        touched = {*row["item_ids"], *row["older_item_ids"]}
        assert set(release.catalogue.ids.external(query.excluded)) == touched


def test_the_newest_version_holds_stock_attributes_and_answers_under_filters() -> None:
    release = load_bundle(NEWEST)
    catalogue = release.catalogue
    assert 0 < catalogue.in_stock.sum() < len(catalogue)
    assert list(release.filters.fields)[-3:] == ["attributes.colour", "attributes.vegan", "attributes.weight"]
    _, queries = load_queries(NEWEST / "golden")
    filtered = [(golden.request, answer) for golden, answer in queries if golden.request.filter is not None]
    assert len(filtered) == 2
    for request, expected in filtered:
        allowed = release.filters.allowed(request.filter)
        assert allowed is not None
        shown = [item_id for item_id, _ in expected.items]
        assert shown
        assert allowed.contains(catalogue.ids.indices(shown)).all()


def test_a_bundle_of_a_version_to_come_is_refused_with_what_to_do(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(NEWEST, tmp_path / "bundle"))
    content = json.loads((bundle / MANIFEST).read_bytes())
    (bundle / MANIFEST).write_text(json.dumps({**content, "format_version": FORMAT_VERSION + 1}))
    with pytest.raises(ArtefactError, match=f"format version {FORMAT_VERSION + 1}; this Slatework reads") as refusal:
        load_bundle(bundle)
    assert "git checkout release/<id>" in refusal.value.next_step


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), cut=st.floats(0, 0.99), junk=st.binary(max_size=40))
def test_hostile_bytes_raise_and_never_crash_even_under_a_manifest_that_lists_them(
    tmp_path: Path, name: str, cut: float, junk: bytes
) -> None:
    bundle = tmp_path / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(NEWEST, bundle)
    content = (bundle / name).read_bytes()
    damaged = content[: int(len(content) * cut)] + junk
    assume(damaged != content)
    (bundle / name).write_bytes(damaged)
    with pytest.raises(ArtefactError):
        load_bundle(bundle)
    with suppress(ArtefactError):
        reseal(bundle)
        load_bundle(bundle)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(WINDOW_FILES), cut=st.floats(0, 0.99), junk=st.binary(max_size=40))
def test_a_test_window_of_hostile_bytes_raises_and_never_crashes(
    tmp_path: Path, name: str, cut: float, junk: bytes
) -> None:
    bundle = tmp_path / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(NEWEST, bundle)
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[: int(len(content) * cut)] + junk)
    with suppress(ArtefactError):
        window = MeasuredWindow.load(bundle)
        window.cases_for(ITEM_IDS, ITEM_IDS)
