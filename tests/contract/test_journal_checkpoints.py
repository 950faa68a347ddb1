"""A checkpoint saves reading and says nothing of its own: where the entries differ from it, they are right."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal import journal as journal_module
from release.journal import moves as moves_module
from release.journal.checkpoints import Checkpoint
from release.journal.journal import Action, Entry, Journal, Note, Phase
from release.journal.view import JournalView
from tests.contract.conftest import meddle
from tests.unit.release.journal.test_extended_view import journals

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY = 4
COPIED = "entry_hash, latest_ts, content, digest"


@pytest.fixture(autouse=True)
def _kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "EVERY", EVERY)


@pytest.fixture
def kept(home: Home, database: sa.Engine) -> Iterator[Journal]:
    """A journal with two releases that were in production, a checkpoint behind them, and an entry behind that."""
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for release in ("r-a", "r-b"):
        intent = journal.append(Note(Action.PROMOTE, Phase.INTENT, release, f"g-{release}", 1, epoch=0))
        journal.append(intent.note.ended(Phase.DONE, intent, epoch=1))
    journal.view()
    journal.append(Note(Action.RECORD, Phase.DONE))
    yield journal
    journal.close()


def checkpoints(database: sa.Engine) -> list[sa.RowMapping]:
    with database.connect() as connection:
        query = sa.text("SELECT * FROM journal_checkpoints ORDER BY entry_id")
        return list(connection.execute(query).mappings())


def rewrite(database: sa.Engine, checkpoint: Checkpoint) -> None:
    """What somebody does who goes around the triggers, and knows how a digest is made."""
    with database.begin() as connection:
        change = "UPDATE journal_checkpoints SET content = :content, digest = :digest WHERE entry_id = :entry_id"
        connection.execute(sa.text(change), checkpoint.to_row())


def checkpoint_of(row: sa.RowMapping) -> Checkpoint:
    return Checkpoint(**{name: value for name, value in row.items() if name != "digest"})


def in_another_process(home: Home) -> JournalView:
    journal = Journal(home, "movies")
    view = journal.view()
    journal.close()
    return view


def test_what_is_kept_is_the_view_that_the_entries_give(kept: Journal, home: Home, database: sa.Engine) -> None:
    (row,) = checkpoints(database)
    assert (row["kind"], row["app"], row["entry_id"]) == ("view:1", "movies", 4)
    view = in_another_process(home)
    assert view == JournalView.of(kept.entries())
    assert (view.production.release_id, view.rollback_target().release_id) == ("r-b", "r-a")
    assert view.n_kept == EVERY


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM journal_checkpoints",
        "UPDATE journal_checkpoints SET content = replace(content, 'r-a', 'r-x')",
        "UPDATE journal_checkpoints SET content = '{'",
        "UPDATE journal_checkpoints SET digest = '0'",
        "UPDATE journal_checkpoints SET entry_hash = '0'",
        "UPDATE journal_checkpoints SET entry_id = 3",
        "UPDATE journal_checkpoints SET app = 'shop'",
        "UPDATE journal_checkpoints SET kind = 'view:0'",
    ],
)
def test_one_that_was_changed_or_is_gone_is_not_used(
    kept: Journal, home: Home, database: sa.Engine, change: str
) -> None:
    meddle(database, change)
    view = in_another_process(home)
    assert view == JournalView.of(kept.entries())
    assert view.n_kept in {0, 5}  # of no checkpoint, or of the one that this process wrote itself


@pytest.mark.parametrize(
    "lie",
    [
        {"production": 3},  # an intent
        {"production": 2},  # of another release than the way ends with
        {"production": None},
        {"staging": 4},
        {"sighting": 4},
        {"intents": [4]},
        {"tokens": [4]},
        {"canary": [1], "intents": [2]},
        {"production": 99},
    ],
)
def test_one_that_names_entries_of_another_kind_is_not_used(
    kept: Journal, home: Home, database: sa.Engine, lie: dict
) -> None:
    meddle(database)
    (row,) = checkpoints(database)
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(json.loads(row["content"]) | lie)))
    assert in_another_process(home) == JournalView.of(kept.entries())


def test_one_of_an_entry_that_is_another_now_is_not_used(kept: Journal, home: Home, database: sa.Engine) -> None:
    """As where the journal was restored from a backup, and went on."""
    meddle(database, "DELETE FROM journal WHERE id > 2")
    kept.append(Note(Action.PROMOTE, Phase.DONE, "r-c", "g-c", 1))
    kept.append(Note(Action.RECORD, Phase.DONE))
    for view in (kept.view(), in_another_process(home)):
        assert view == JournalView.of(kept.entries())
        assert (view.production.release_id, view.rollback_target().release_id) == ("r-c", "r-a")


def test_verify_finds_one_that_the_entries_do_not_come_to(kept: Journal, database: sa.Engine) -> None:
    assert kept.verify() == 5
    (row,) = checkpoints(database)
    content = json.loads(row["content"])
    content["moves"]["older"] |= {"way": ["r-x"]}
    meddle(database)
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(content)))
    with pytest.raises(ArtefactError, match="the checkpoint at entry 4 is not what the entries say"):
        kept.verify()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal_checkpoints SET content = '{}'",
        "DELETE FROM journal_checkpoints",
        f"INSERT INTO journal_checkpoints SELECT kind, app, 99, {COPIED} FROM journal_checkpoints",
        f"INSERT INTO journal_checkpoints SELECT kind, app, 3, {COPIED} FROM journal_checkpoints",
        "INSERT INTO journal_checkpoints SELECT * FROM journal_checkpoints",
    ],
)
def test_the_database_itself_refuses_to_change_one_or_to_take_a_wrong_one(
    kept: Journal, database: sa.Engine, change: str
) -> None:
    before = checkpoints(database)
    if database.dialect.name == "sqlite":  # which deletes the row in the way, and asks no trigger about that
        change = change.replace("INSERT", "INSERT OR REPLACE")
    with pytest.raises(sa.exc.DBAPIError, match=r"append-only|written once"), database.begin() as connection:
        connection.exec_driver_sql(change)
    assert checkpoints(database) == before


def test_a_move_told_late_across_a_checkpoint_is_put_where_it_belongs(
    home: Home, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves_module, "N_RECENT", 1)
    journal = Journal(home, "movies", FixedClock(MOMENT))
    late = journal.append(Note(Action.PROMOTE, Phase.INTENT, "r-a", "g-a", 1))
    for _ in range(EVERY):
        journal.append(Note(Action.PROMOTE, Phase.DONE, "r-b", "g-b", 2))
    journal.view()
    journal.append(late.note.ended(Phase.DONE, late))
    for view in (journal.view(), in_another_process(home)):
        assert view == JournalView.of(journal.entries())
        assert (view.production.release_id, view.rollback_target().release_id) == ("r-b", "r-a")
    assert in_another_process(home).n_kept == EVERY + 2  # so that nobody has to begin with the first entry again
    assert journal.verify() == EVERY + 2
    journal.close()


def test_applications_have_their_own(kept: Journal, home: Home, database: sa.Engine) -> None:
    shop = Journal(home, "shop", FixedClock(MOMENT))
    for number in range(EVERY):
        shop.append(Note(Action.PROMOTE, Phase.DONE, f"s-{number}", "g", 1))
    assert shop.view().production.release_id == "s-3"
    assert [row["app"] for row in checkpoints(database)] == ["movies", "shop"]
    assert in_another_process(home).production.release_id == "r-b"
    assert shop.verify() == 9
    shop.close()


def test_one_that_cannot_be_kept_is_told_in_the_log_and_stops_nobody(
    home: Home, database: sa.Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for _ in range(EVERY):
        journal.append(Note(Action.PROMOTE, Phase.DONE, "r-a", "g-a", 1))
    meddle(database, "DROP TABLE journal_checkpoints")
    monkeypatch.setattr(journal, "_known", lambda _table: JournalView(read_entry=journal.entry))
    with caplog.at_level(logging.WARNING):
        assert journal.view().production.release_id == "r-a"
    assert "No checkpoint of the journal was kept" in caplog.text
    journal.close()


def test_checking_what_came_since_the_last_check_reads_no_more(
    kept: Journal, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    whole = Entry.computed_hash

    def counted(entry: Entry) -> str:
        checked.append(entry.id)
        return whole(entry)

    assert kept.verify(since_last=True) == 5
    last = kept.append(Note(Action.RECORD, Phase.DONE))
    monkeypatch.setattr(Entry, "computed_hash", counted)
    assert kept.verify(last.head, since_last=True) == 6
    assert checked == [5, 6]  # the one that was the last, and what came
    assert kept.verify() == 6
    assert checked[2:] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "seen_since_last"),
    [
        ("UPDATE journal SET reason = 'worse' WHERE id = 6", True),
        ("UPDATE journal SET reason = 'worse' WHERE id = 5", True),  # the last one that was checked
        ("DELETE FROM journal WHERE id = 2", True),  # none may be missing before it either
        ("UPDATE journal SET reason = 'worse' WHERE id = 2", False),  # only a whole check looks there again
    ],
)
def test_what_a_check_since_the_last_one_sees(
    kept: Journal, database: sa.Engine, change: str, seen_since_last: bool
) -> None:
    kept.verify(since_last=True)
    kept.append(Note(Action.RECORD, Phase.DONE))
    meddle(database, change)
    if seen_since_last:
        with pytest.raises(ArtefactError, match="does not follow from the one before it"):
            kept.verify(since_last=True)
    else:
        assert kept.verify(since_last=True) == 6
    with pytest.raises(ArtefactError, match="does not follow from the one before it"):
        kept.verify()


@given(journals(most=12), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_processes_that_come_go_and_stay_see_what_the_entries_say(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], data: st.DataObject
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    staying = [Journal(home, "movies", FixedClock(MOMENT)) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moves_module, "N_RECENT", 2)
        for entry in entries:
            data.draw(st.sampled_from(staying)).append(entry.note)
            match data.draw(st.sampled_from(["nobody", "one that stays", "a new one"])):
                case "one that stays":
                    data.draw(st.sampled_from(staying)).view()
                case "a new one":
                    Journal(home, "movies").view()
        expected = JournalView.of(staying[0].entries())
        for journal in (*staying, Journal(home, "movies")):
            assert journal.view() == expected
        assert staying[0].verify() == len(entries)
