"""Going back: at once, without MLflow, and so that no later sync undoes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.aged_journal import hourly_refreshes, write_at_once
from contracts.errors import ArtefactError, PromotionRefused, StoreUnavailable
from feature_store.online.pointer import move_pointer
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.promotion.rollback import RollbackResult, roll_back
from release.registry.state import Stage
from tests.killed import Killed, KillingJournal
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
NOBODY_LISTENS = "http://127.0.0.1:1"


def promote(studio: Studio, *versions: int) -> None:
    for version in versions:
        assert studio.promoter.promote(version, requester="ada", allow_dirty=True).accepted


def go_back(studio: Studio, to: str | None = None) -> RollbackResult:
    return roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), to=to, requester="ada")


def test_the_release_before_is_served_again_and_mlflow_says_so(studio: Studio) -> None:
    promote(studio, 1, 2)
    done = go_back(studio)
    assert (done.version, done.registry_pending) == (1, "")
    assert (studio.served(), studio.registry.resolved(Stage.PRODUCTION)) == (1, 1)
    assert (studio.stages()[2], studio.aliases()) == ("Archived", {"production": 1})
    assert studio.journal(Action.ROLLBACK) == [(Action.ROLLBACK, Phase.INTENT, 1), (Action.ROLLBACK, Phase.DONE, 1)]
    assert studio.promoter.sync().decisions == ()
    assert studio.served() == 1


def test_two_rollbacks_go_two_releases_back(studio: Studio) -> None:
    promote(studio, 1, 2, 5)
    assert [go_back(studio).version, go_back(studio).version] == [2, 1]
    with pytest.raises(PromotionRefused, match="nothing to roll back to"):
        go_back(studio)
    assert studio.served() == 1


def test_a_named_release_is_served_if_it_was_in_production_before(studio: Studio) -> None:
    promote(studio, 1, 2, 5)
    first, never = (studio.registry.version(number).release_id for number in (1, 3))
    assert go_back(studio, first).version == 1
    with pytest.raises(PromotionRefused, match="never in production"):
        go_back(studio, never)
    with pytest.raises(PromotionRefused, match="in production already"):
        go_back(studio, first)


def test_with_mlflow_away_it_happens_all_the_same_and_the_next_sync_tells_instead_of_undoing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(studio, 1, 2)
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
        assert NOBODY_LISTENS in go_back(studio).registry_pending
    assert (studio.served(), studio.stages()[2]) == (1, "Production")
    assert studio.promoter.sync().decisions == ()
    assert (studio.served(), studio.registry.resolved(Stage.PRODUCTION)) == (1, 1)
    assert studio.stages()[2] == "Archived"


def test_a_request_made_while_mlflow_could_not_be_told_is_still_a_request(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(studio, 1, 2)
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
        go_back(studio)
    studio.set_stage(5, Stage.PRODUCTION)
    assert [(decision.version, decision.accepted) for decision in studio.promoter.sync().decisions] == [(5, True)]
    assert (studio.served(), studio.registry.resolved(Stage.PRODUCTION)) == (5, 5)
    assert [studio.stages()[version] for version in (1, 2)] == ["Archived", "Archived"]


def test_a_flushed_redis_is_filled_with_the_release_gone_back_to(studio: Studio) -> None:
    promote(studio, 1, 2)
    studio.flush()
    assert go_back(studio).version == 1
    assert studio.served() == 1
    assert studio.promoter.sync().rebuilt is None


def test_a_promotion_that_died_before_saying_so_still_counts_as_the_one_to_go_back_from(studio: Studio) -> None:
    promote(studio, 1, 2)
    release = studio.registry.version(5)
    with studio.promoter._switch() as switch:
        dying = KillingJournal(studio.home, studio.app, Action.PROMOTE, Phase.DONE)
        note = Note(Action.PROMOTE, Phase.INTENT, release.release_id, release.generation_id, 5)
        with pytest.raises(Killed):
            replace(switch, journal=dying).move(note)
    assert studio.served() == 5
    assert go_back(studio).version == 2


def test_a_rollback_that_moved_the_pointer_and_has_not_said_so_yet_is_no_strange_pointer(studio: Studio) -> None:
    promote(studio, 1, 2)
    target, pointer = studio.registry.version(1), studio.pointer()
    with studio.promoter._switch() as switch:
        names = (target.release_id, target.generation_id)
        switch.journal.append(Note(Action.ROLLBACK, Phase.INTENT, *names, 1, epoch=pointer.epoch))
        move_pointer(switch.client, studio.app, *names, pointer.epoch)
        assert switch.rebuild() is None
    assert studio.served() == 1


def test_without_its_bundle_nothing_is_served_that_servers_could_not_load(studio: Studio) -> None:
    import shutil

    promote(studio, 1, 2)
    shutil.rmtree(studio.home.bundles / studio.registry.version(1).release_id)
    with pytest.raises(ArtefactError, match="does not hold release"):
        go_back(studio)
    assert studio.served() == 2


def test_without_redis_it_is_an_error_and_nothing_is_noted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(studio, 1, 2)
    before = studio.journal()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        go_back(studio)
    assert studio.journal() == before


def test_the_command_moves_the_pointer_before_anything_heavy_is_imported(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(studio, 1, 2)
    before = studio.registry.version(1).release_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
    # Not pydantic: typer imports it to convert arguments.
    heavy = "('mlflow', 'sqlalchemy', 'redis', 'ruamel', 'urllib.request', 'numpy', 'polars', 'faiss')"
    program = f"""
import sys
from release.promotion import rollback
tell = rollback._tell_registry
def telling(*arguments):
    print("imported so far:", [name for name in {heavy} if name in sys.modules], flush=True)
    return tell(*arguments)
rollback._tell_registry = telling
sys.argv = ["slate", "rollback"]
from cli.main import main
main()
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert "instead of" in said[0]
    assert said[1] == "imported so far: []"
    assert NOBODY_LISTENS in said[2]
    assert studio.pointer().release_id == before


def test_a_rollback_and_a_sync_with_an_old_journal_read_as_few_of_its_rows_as_with_a_young_one(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, n_journal_rows: Callable[[], int]
) -> None:
    """Rows beside those behind the last checkpoint: some for each question that is asked of the journal."""
    promote(studio, 1, 2)
    write_at_once(studio.home, studio.app, hourly_refreshes(studio.registry.version(2).release_id, 10_000))
    studio.promoter.sync()
    n_journal_rows()
    assert studio.promoter.sync().decisions == ()  # each promoter as a new process
    assert n_journal_rows() < 100
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
        assert go_back(studio).version == 1
    assert n_journal_rows() < 100
