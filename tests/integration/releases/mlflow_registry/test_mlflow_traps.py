"""The traps of MLflow's registry, stepped into over HTTP on a real server, one for all tests of this module.

Versions 1, 2 and 5 are about as good as each other, 3 is much worse, 4 was built from uncommitted source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersion

from contracts.errors import RegistryError, RegistryUnavailable
from contracts.home import Home
from feature_store.online.connection import connect
from feature_store.online.serving_targets import read_serving_targets
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.promotion.rollback import roll_back
from release.registry import stages as registry_stages
from release.registry.state import Stage
from tests.mlflow_server import MlflowServer
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio, restore_home, settings_of_tests

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
PRODUCTION, STAGING, ARCHIVED, NONE = Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED, Stage.NONE


@pytest.fixture(scope="module")
def server_home(stocked_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("served") / "home")
    restore_home(stocked_home, home)
    return home


@pytest.fixture(scope="module")
def server(server_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(server_home, tmp_path_factory.mktemp("server") / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def studio(
    server: MlflowServer, stocked_home: Home, server_home: Home, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Studio:
    """The five versions, none promoted, and an empty journal; the server finds its database as it was."""
    restore_home(stocked_home, server_home)
    monkeypatch.setenv("SLATE_HOME", str(server_home.root))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.delenv("SLATE_JOURNAL_URL", raising=False)
    return Studio(server_home, settings_of_tests(), redis_url)


def sync(studio: Studio) -> list[tuple[int, str]]:
    """One sync, as (version, verdict) of each decision."""
    return [(decision.version, decision.verdict) for decision in studio.promoter.sync().decisions]


def put_in_production(studio: Studio, *versions: int) -> None:
    for version in versions:
        studio.set_stage(version, PRODUCTION)
        assert sync(studio) == [(version, "accepted")]


def truth(studio: Studio) -> tuple[int | None, list[int], int | None, int | None]:
    """What is served; what MLflow shows in Production, by stage and by alias; what `models:/.../Production` loads."""
    in_production = [version for version, stage in studio.stages().items() if stage == PRODUCTION]
    alias = studio.aliases().get("production")
    return studio.served(), in_production, alias, studio.registry.resolved(PRODUCTION)


def everything_says(version: int) -> tuple[int, list[int], int, int]:
    return version, [version], version, version


def test_of_two_versions_in_production_the_newly_set_one_is_served(studio: Studio) -> None:
    put_in_production(studio, 2, 1)  # MLflow itself takes the stage Production to mean 2, the higher number
    assert truth(studio) == everything_says(1)
    assert studio.stages()[2] == ARCHIVED


def test_two_versions_put_into_production_between_two_looks_are_both_refused(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, PRODUCTION)
    studio.set_stage(5, PRODUCTION)
    assert sync(studio) == [(2, "refused"), (5, "refused")]
    assert truth(studio) == everything_says(1)


def test_promoting_an_older_version_again_really_brings_it_back(studio: Studio) -> None:
    put_in_production(studio, 1, 2, 5, 1)
    assert truth(studio) == everything_says(1)
    assert sync(studio) == []


def test_a_stage_and_an_alias_that_disagree_are_both_refused(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, PRODUCTION)
    studio.set_alias("production", 5)
    assert sync(studio) == [(2, "refused"), (5, "refused")]
    assert truth(studio) == everything_says(1)
    for version in (2, 5):
        assert "at the same time" in studio.registry.version(version).tags["slate.decision.reason"]


def test_a_version_deleted_while_served_is_registered_again(studio: Studio) -> None:
    put_in_production(studio, 1)
    pointer = studio.pointer()
    studio.delete_version(1)
    assert sync(studio) == [(1, "refused")]
    assert studio.pointer() == pointer
    assert truth(studio) == everything_says(6)
    assert sync(studio) == []


@pytest.mark.parametrize("how", ["stage", "alias", "slate promote"])
def test_a_refused_version_goes_back_to_where_it_was(studio: Studio, how: str) -> None:
    put_in_production(studio, 1)
    studio.set_stage(3, STAGING)
    assert sync(studio) == [(3, "accepted")]
    if how == "stage":
        studio.set_stage(3, PRODUCTION)
    if how == "alias":
        studio.set_alias("production", 3)
    decided = (
        studio.promoter.promote(3, requester="ada") if how == "slate promote" else studio.promoter.sync().refused[0]
    )
    assert not decided.accepted
    assert (studio.stages()[3], studio.aliases()) == (STAGING, {"production": 1, "staging": 3})
    assert truth(studio) == everything_says(1)
    with connect(studio.redis_url) as client:
        assert read_serving_targets(client, studio.app).staged.release_id == studio.registry.version(3).release_id
    assert sync(studio) == []


def test_who_was_in_staging_is_back_there_when_its_successor_is_refused(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, STAGING)
    assert sync(studio) == [(2, "accepted")]
    with studio.registry.connection.speaking() as client:
        client.set_model_version_tag(studio.app, "5", "slate.generation_id", "another")  # which is not sound
    studio.set_stage(5, STAGING)
    studio.set_stage(2, ARCHIVED)  # as MLflow does where "archive existing versions" is ticked
    assert sync(studio) == [(5, "refused")]
    assert (studio.stages()[2], studio.stages()[5], studio.aliases()["staging"]) == (STAGING, NONE, 2)


def test_a_staged_version_that_goes_on_to_production_leaves_staging_at_once(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, STAGING)
    assert sync(studio) == [(2, "accepted")]
    studio.set_alias("production", 2)
    assert sync(studio) == [(2, "accepted")]
    assert (truth(studio), "staging" in studio.aliases()) == (everything_says(2), False)
    with connect(studio.redis_url) as client:
        assert read_serving_targets(client, studio.app).staged is None


def copy(studio: Studio, number: int) -> int:
    """What the button "Promote model" of MLflow does."""
    with studio.registry.connection.speaking() as client:
        return int(client.copy_model_version(f"models:/{studio.app}/{number}", studio.app).version)


def test_a_copy_that_mlflow_made_says_so_instead_of_the_decision_on_its_original(studio: Studio) -> None:
    put_in_production(studio, 1)
    copied = copy(studio, 1)
    assert studio.registry.version(copied).tags["slate.decision"] == "accepted"  # MLflow copies the words, too
    assert sync(studio) == []
    version = studio.registry.version(copied)
    assert (version.copy_of, version.tags["slate.copy_of"]) == (1, "1")
    assert version.tags["slate.decision"] == "as version 1"
    assert "this is a copy of it" in version.description
    assert "accepted for Production" not in version.description
    assert studio.registry.by_release(version.release_id).number == 1
    assert truth(studio) == everything_says(1)
    n_entries = len(studio.entries())
    assert sync(studio) == []
    assert len(studio.entries()) == n_entries


@pytest.mark.parametrize("how", ["stage", "alias", "both", "slate promote"])
def test_what_is_asked_of_a_copy_is_asked_of_its_original(studio: Studio, how: str) -> None:
    put_in_production(studio, 1)
    copied = copy(studio, copy(studio, 2))
    if how in ("stage", "both"):
        studio.set_stage(copied, PRODUCTION)
    if how in ("alias", "both"):
        studio.set_alias("production", copied)
    if how == "slate promote":
        assert studio.promoter.promote(copied, requester="ada").version == 2
    else:
        assert sync(studio) == [(2, "accepted")]
    assert truth(studio) == everything_says(2)
    assert studio.stages()[copied] == NONE
    assert sync(studio) == []


def test_a_copy_of_what_is_served_takes_nothing_out_of_production(studio: Studio) -> None:
    put_in_production(studio, 1)
    copied = copy(studio, 1)
    studio.set_stage(copied, STAGING)
    assert sync(studio) == []
    assert (truth(studio), studio.stages()[copied]) == (everything_says(1), NONE)


def test_a_copy_whose_original_was_deleted_is_a_version_of_its_own(studio: Studio) -> None:
    put_in_production(studio, 1)
    copied = copy(studio, 2)
    studio.delete_version(2)
    studio.set_stage(copied, PRODUCTION)
    assert sync(studio) == [(copied, "accepted")]
    assert truth(studio) == everything_says(copied)


@pytest.mark.parametrize("how", ["archived", "alias taken away"])
def test_what_is_served_cannot_be_archived_and_the_way_back_is_named(studio: Studio, how: str) -> None:
    put_in_production(studio, 1)
    if how == "archived":
        studio.set_stage(1, ARCHIVED)
    else:
        studio.delete_alias("production")
    assert sync(studio) == [(1, "refused")]
    assert truth(studio) == everything_says(1)
    assert "slate rollback" in studio.registry.version(1).tags["slate.decision.reason"]


def test_an_alias_in_capitals_is_another_alias_and_is_taken_away(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_alias("Production", 2)
    assert studio.aliases() == {"production": 1, "Production": 2}
    assert sync(studio) == [(2, "refused")]
    assert studio.aliases() == {"production": 1}
    assert truth(studio) == everything_says(1)


def test_while_mlflow_is_away_a_rollback_goes_on_and_is_told_before_anything_else(
    studio: Studio, server: MlflowServer
) -> None:
    put_in_production(studio, 1, 2)
    server.stop()
    try:
        with pytest.raises(RegistryUnavailable):
            sync(studio)
        done = roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="cli:ada")
        assert (done.version, bool(done.registry_pending)) == (1, True)
        assert studio.pointer() == done.pointer
    finally:
        server.start()
    assert studio.stages()[2] == PRODUCTION  # what MLflow could not be told
    studio.set_alias("production", 5)
    assert sync(studio) == [(5, "accepted")]
    written = [entry.figures["after"]["aliases"] for entry in studio.entries(Action.REGISTRY_WRITE) if entry.intent_id]
    assert written[-2:] == [{"production": 1}, {"production": 5}]
    assert truth(studio) == everything_says(5)
    assert [studio.stages()[version] for version in (1, 2)] == [ARCHIVED, ARCHIVED]


class _Meanwhile(Journal):
    """Somebody does something in the MLflow UI while the pointer is being moved."""

    def __init__(self, studio: Studio, change: str) -> None:
        super().__init__(studio.home, studio.app)
        self._studio = studio
        self._change = change

    def append(self, note: Note) -> Entry:
        if (note.action, note.phase) == (Action.PROMOTE, Phase.INTENT):
            if self._change == "stage":
                self._studio.set_stage(5, PRODUCTION)
            else:
                self._studio.set_alias("production", 5)
        return super().append(note)


@pytest.mark.parametrize("change", ["stage", "alias"])
def test_a_change_made_while_a_switch_is_under_way_is_decided_in_the_next_round(studio: Studio, change: str) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, PRODUCTION)
    # MLflow takes the stage Production to mean 5 by now, and the one who looks is told so.
    told = pytest.raises(RegistryError, match="is version 5; version 2 was written")
    with told if change == "stage" else nullcontext():
        replace(studio.promoter, journal=_Meanwhile(studio, change)).sync()
    assert studio.served() == 2
    assert sync(studio) == [(5, "accepted")]
    assert truth(studio) == everything_says(5)
    assert sync(studio) == []


def test_on_first_contact_what_a_filled_mlflow_says_is_asked_for(studio: Studio) -> None:
    studio.set_stage(1, PRODUCTION)
    studio.set_alias("production", 1)
    studio.set_stage(3, STAGING)
    studio.set_stage(5, ARCHIVED)
    assert studio.entries() == []
    assert sync(studio) == [(1, "accepted"), (3, "accepted")]
    assert truth(studio) == everything_says(1)
    assert (studio.aliases()["staging"], studio.stages()[5]) == (3, ARCHIVED)


def test_on_first_contact_two_versions_in_production_are_both_refused(studio: Studio) -> None:
    for version in (1, 2):
        studio.set_stage(version, PRODUCTION)
    assert sync(studio) == [(1, "refused"), (2, "refused")]
    assert truth(studio) == (None, [], None, None)
    put_in_production(studio, 1)


@pytest.fixture
def without_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A later MLflow, in which everything that is deprecated about stages is gone."""
    registry_stages._say_that_they_are_gone.cache_clear()
    monkeypatch.delattr(mlflow.MlflowClient, "transition_model_version_stage")
    monkeypatch.delattr(mlflow.MlflowClient, "get_latest_versions")
    monkeypatch.delattr(ModelVersion, "current_stage")
    yield
    registry_stages._say_that_they_are_gone.cache_clear()


@pytest.mark.usefixtures("without_stages")
def test_without_stages_aliases_ask_alone_and_that_is_said_once(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    studio.set_alias("production", 1)
    assert sync(studio) == [(1, "accepted")]
    studio.set_alias("production", 3)
    assert sync(studio) == [(3, "refused")]
    studio.set_alias("staging", 2)
    assert sync(studio) == [(2, "accepted")]
    assert (studio.served(), studio.aliases()) == (1, {"production": 1, "staging": 2})
    studio.set_alias("production", 2)
    assert sync(studio) == [(2, "accepted")]
    assert (studio.served(), studio.aliases()) == (2, {"production": 2})
    studio.delete_alias("production")
    assert sync(studio) == [(2, "refused")]
    roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="cli:ada")
    assert (studio.served(), studio.aliases()) == (1, {"production": 1})
    assert sync(studio) == []
    n_entries = len(studio.entries())
    assert sync(studio) == []
    assert len(studio.entries()) == n_entries
    assert [record.message for record in caplog.records if record.name == registry_stages.__name__] == [
        "This MLflow has no stages any more: ask for a promotion by alias alone."
    ]


def test_stages_that_vanish_between_two_looks_change_nothing(studio: Studio, request: pytest.FixtureRequest) -> None:
    put_in_production(studio, 1, 2)
    request.getfixturevalue("without_stages")
    assert sync(studio) == []
    assert studio.served() == 2
    studio.set_alias("production", 1)
    assert sync(studio) == [(1, "accepted")]
