"""Fresher values for the release in production: a generation of their own, switched like a release."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from contracts.errors import PointerMoved, PromotionRefused, ReleaseMismatch, StoreError, ValidationFailed
from contracts.features import Entity
from contracts.tables import CanonicalTables
from feature_store.offline.offline_store import values_as_of
from feature_store.online.connection import connect
from feature_store.online.keys import users_key
from feature_store.online.pointer import Pointer, move_pointer
from feature_store.values.restricted_values import restrict_to_items
from release.bundle.code_version import code_fingerprint
from release.bundle.generation_store import GenerationStore
from release.bundle.manifest import load_manifest
from release.journal.entries import Action, Phase
from release.journal.journal import Journal
from release.promotion.refresh import RefreshInputs, RefreshResult, refresh
from release.promotion.rollback import roll_back
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio, register_bundle
from tests.release_worlds import small_settings

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
SETTINGS = small_settings()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one file of code."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "contracts").mkdir()
    (folder / "contracts" / "__init__.py").write_text("")
    (folder / "dvc.yaml").write_text("stages: {release: {deps: [contracts/__init__.py]}}\n")
    return folder


@pytest.fixture
def released(studio: Studio, base_bundle: Path, runs: Path, code: Path, tmp_path: Path) -> Pointer:
    """A release in production that was built by that code."""
    bundle = tmp_path / "bundle"
    shutil.copytree(base_bundle, bundle)
    replace(load_manifest(bundle), code=code_fingerprint(code)).save(bundle)
    version = register_bundle(studio.home, bundle, runs)
    assert studio.promoter.promote(version.number, requester="ada").accepted
    pointer = studio.pointer()
    assert pointer is not None
    return pointer


@pytest.fixture(scope="module")
def a_day_later(world: CanonicalTables, code: Path, tmp_path_factory: pytest.TempPathFactory) -> RefreshInputs:
    """Values a day after the end of the world's data, in which one new item and one new person turned up."""
    return fresh_values(world, code, tmp_path_factory.mktemp("fresh"), timedelta(days=1))


@pytest.fixture
def fresh(a_day_later: RefreshInputs, tmp_path: Path) -> RefreshInputs:
    """The same in a folder that this test alone uses."""
    folder = tmp_path / "fresh"
    shutil.copytree(a_day_later.values.parent, folder)
    return replace(a_day_later, values=folder / "values", validation=folder / "validation.json")


def fresh_values(world: CanonicalTables, code: Path, folder: Path, later: timedelta) -> RefreshInputs:
    end = world.interactions["event_ts"].max()
    happened = world.interactions.tail(1).with_columns(
        user_id=pl.lit("newcomer"),
        item_id=pl.lit("premiere"),
        event_ts=pl.lit(end + later / 2).cast(pl.Datetime("us", "UTC")),
    )
    tables = replace(
        world,
        interactions=pl.concat([world.interactions, happened]),
        items=pl.concat([world.items, world.items.tail(1).with_columns(item_id=pl.lit("premiere"))]),
    )
    values_as_of(tables, end + later, SETTINGS.features.history_length).save(folder / "values")
    (folder / "validation.json").write_text(json.dumps({"success": True}))
    return RefreshInputs(folder / "values", folder / "validation.json", code)


def refreshed(studio: Studio, fresh: RefreshInputs) -> RefreshResult:
    return refresh(SETTINGS, studio.home, Journal(studio.home, studio.app), fresh, requester="ada")


def test_the_same_release_is_served_with_the_fresher_generation(studio, released, fresh):
    done = refreshed(studio, fresh)
    assert studio.pointer() == done.pointer
    assert (done.pointer.release_id, done.pointer.epoch) == (released.release_id, released.epoch + 1)
    assert done.pointer.generation_id != released.generation_id == done.left_generation_id
    assert (done.n_new_items, done.n_absent_items) == (1, 0)
    assert [(action, phase) for action, phase, _ in studio.journal(Action.REFRESH)] == [
        (Action.REFRESH, Phase.INTENT),
        (Action.REFRESH, Phase.DONE),
    ]


def test_a_refresh_without_anything_fresher_writes_again_what_went(studio, released, fresh):
    done = refreshed(studio, fresh)
    with connect(studio.redis_url) as client:
        client.delete(users_key(studio.app, done.pointer.generation_id, 0))
    again = refreshed(studio, fresh)
    assert again.pointer == done.pointer
    [lacked] = again.mended
    assert "people in the online store" in lacked
    assert refreshed(studio, fresh).mended == ()


def test_the_next_sync_leaves_the_fresher_generation_alone(studio, released, fresh):
    done = refreshed(studio, fresh)
    assert studio.promoter.sync().rebuilt is None
    assert studio.pointer() == done.pointer


def test_a_feature_that_only_the_fresher_data_tells_of_waits_for_the_next_release(studio, released, fresh):
    from feature_store.values.values import FeatureValues

    values = FeatureValues.load(fresh.values)
    assert "user_purchase_count_7d" in values.feature_names(Entity.USER)
    done = refreshed(studio, fresh)
    kept = GenerationStore(studio.home).path(done.pointer.release_id, done.pointer.generation_id)
    assert "user_purchase_count_7d" not in FeatureValues.load(kept).feature_names(Entity.USER)


def test_values_that_are_served_already_change_nothing(studio, released, fresh):
    first, second = refreshed(studio, fresh), refreshed(studio, fresh)
    assert second.pointer == first.pointer
    assert second.left_generation_id == first.pointer.generation_id
    assert len(studio.journal(Action.REFRESH)) == 2


def test_a_redis_that_lost_everything_gets_the_fresher_generation_back(studio, released, fresh):
    done = refreshed(studio, fresh)
    studio.flush()
    assert studio.promoter.sync().rebuilt is not None
    pointer = studio.pointer()
    assert pointer
    assert (pointer.release_id, pointer.generation_id) == (released.release_id, done.pointer.generation_id)


def test_where_its_values_are_kept_no_more_the_release_goes_on_with_its_own(studio, released, fresh):
    refreshed(studio, fresh)
    GenerationStore(studio.home).forget_all_but([])
    studio.flush()
    assert studio.promoter.sync().rebuilt is not None
    pointer = studio.pointer()
    assert pointer
    assert (pointer.release_id, pointer.generation_id) == (released.release_id, released.generation_id)
    assert studio.promoter.sync().rebuilt is None


def test_a_rollback_goes_to_the_release_before_and_not_to_the_values_before(
    studio, runs, code, released, fresh, tmp_path
):
    refreshed(studio, fresh)
    kept = studio.promoter.promote(1, requester="ada")
    assert kept.accepted
    roll_back(SETTINGS, studio.home, Journal(studio.home, studio.app), requester="ada")
    pointer = studio.pointer()
    assert pointer
    assert pointer.release_id == released.release_id
    assert pointer.generation_id != released.generation_id


def test_values_that_are_older_than_those_served_are_refused(studio, released, fresh, world, code, tmp_path):
    done = refreshed(studio, fresh)
    older = fresh_values(world, code, tmp_path / "older", timedelta(hours=1))
    with pytest.raises(PromotionRefused, match="as of"):
        refreshed(studio, older)
    assert studio.pointer() == done.pointer


def test_values_that_other_code_computed_are_refused_and_both_codes_are_named(studio, released, fresh, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(fresh.code, other)
    (other / "contracts" / "__init__.py").write_text("WINDOW = 8\n")
    with pytest.raises(ReleaseMismatch) as refusal:
        refreshed(studio, replace(fresh, code=other))
    assert code_fingerprint(other) in str(refusal.value)
    assert code_fingerprint(fresh.code) in str(refusal.value)
    assert studio.pointer() == released


def test_code_of_which_a_file_is_missing_is_other_code(studio, released, fresh, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(fresh.code, other)
    (other / "contracts" / "__init__.py").unlink()
    with pytest.raises(ReleaseMismatch, match=r"__init__\.py is missing, though") as refusal:
        refreshed(studio, replace(fresh, code=other))
    assert code_fingerprint(fresh.code) in str(refusal.value)
    assert studio.pointer() == released


def test_a_rollback_while_the_values_are_read_has_the_last_word(studio, released, fresh, monkeypatch):
    assert studio.promoter.promote(1, requester="ada").accepted

    def rolling_back(*arguments):
        roll_back(SETTINGS, studio.home, Journal(studio.home, studio.app), requester="ada")
        return restrict_to_items(*arguments)

    monkeypatch.setattr("release.promotion.rollback.REGISTRY_PATIENCE_S", 0.01)  # the refresh holds the lock
    monkeypatch.setattr("release.promotion.refresh.restrict_to_items", rolling_back)
    monkeypatch.setattr("release.promotion.refresh._check_origin", lambda *_: None)
    with pytest.raises(PointerMoved):
        refreshed(studio, fresh)
    assert studio.pointer().release_id == released.release_id
    assert [phase for _, phase, _ in studio.journal(Action.REFRESH)] == [Phase.INTENT, Phase.FAILED]


def test_a_pointer_that_names_another_release_than_the_journal_is_left_alone(studio, released, fresh):
    with connect(studio.redis_url) as client:
        moved = move_pointer(client, studio.app, "r-of-a-rollback", released.generation_id, released.epoch)
    with pytest.raises(PointerMoved, match="names release r-of-a-rollback"):
        refreshed(studio, fresh)
    assert studio.pointer() == moved


def test_values_of_other_feature_parameters_are_refused(studio, released, fresh):
    other = small_settings(features={"history_length": 51})
    with pytest.raises(ReleaseMismatch, match="history_length"):
        refresh(other, studio.home, Journal(studio.home, studio.app), fresh, requester="ada")
    assert studio.pointer() == released


def test_values_of_data_that_did_not_pass_are_refused(studio, released, fresh):
    fresh.validation.write_text(json.dumps({"success": False}))
    with pytest.raises(ValidationFailed):
        refreshed(studio, fresh)
    assert studio.pointer() == released


def test_values_that_lack_a_feature_of_the_release_are_refused(studio, released, fresh):
    from feature_store.values.values import FeatureValues

    values = FeatureValues.load(fresh.values)
    replace(values, users=values.users.drop("user_value_mean_total")).save(fresh.values)
    with pytest.raises(ReleaseMismatch, match="user_value_mean_total"):
        refreshed(studio, fresh)
    assert studio.pointer() == released


def test_without_a_release_in_production_there_is_nothing_to_refresh(studio, fresh):
    with pytest.raises(PromotionRefused, match="slate promote"):
        refreshed(studio, fresh)


def test_a_store_that_refuses_leaves_what_is_served(studio, released, fresh, monkeypatch):
    with connect(studio.redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreError):
                refreshed(studio, fresh)
        finally:
            client.config_set("maxmemory", 0)
    assert studio.pointer() == released
    assert [phase for _, phase, _ in studio.journal(Action.REFRESH)] == [Phase.INTENT, Phase.FAILED]
