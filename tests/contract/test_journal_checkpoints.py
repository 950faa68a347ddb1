"""A checkpoint saves reading and says nothing of its own: where the entries differ from it, they are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal import journal as journal_module
from release.journal import moves as moves_module
from release.journal.chain import Verification
from release.journal.checkpoint_schema import TABLE
from release.journal.checkpoints import VIEW, Checkpoint
from release.journal.database import open_database
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView
from tests.contract.conftest import meddle
from tests.unit.release.journal.test_extended_view import journals

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EACH = 4
COPIED = "entry_hash, latest_ts, content, digest"


@pytest.fixture(autouse=True)
def _kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "ENTRIES_PER_CHECKPOINT", EACH)


@pytest.fixture
def kept(home: Home, database: sa.Engine) -> Iterator[Journal]:
    """A journal with two releases that were in production, a checkpoint behind them, and an entry behind that."""
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for release in ("r-a", "r-b"):
        intent = journal.append(Note(Action.PROMOTE, Phase.INTENT, release, f"g-{release}", 1, epoch=0))
        journal.append(intent.note.ended(Phase.DONE, intent, epoch=1))
    journal.keep_checkpoint()
    journal.append(Note(Action.RECORD, Phase.DONE))
    yield journal
    journal.close()


def checkpoints(database: sa.Engine) -> list[sa.RowMapping]:
    with database.connect() as connection:
        query = sa.text(f"SELECT * FROM {TABLE} ORDER BY entry_id")
        return list(connection.execute(query).mappings())


def rewrite(database: sa.Engine, checkpoint: Checkpoint) -> None:
    """What somebody does who goes around the triggers, and knows how a digest is made."""
    meddle(database)
    with database.begin() as connection:
        change = f"UPDATE {TABLE} SET content = :content, digest = :digest WHERE entry_id = :entry_id"
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
    assert (row["kind"], row["app"], row["entry_id"]) == (VIEW, "movies", 4)
    view = in_another_process(home)
    assert view == JournalView.of(kept.entries())
    assert (view.production.release_id, view.rollback_target().release_id) == ("r-b", "r-a")
    assert view.n_kept == EACH


@pytest.mark.parametrize(
    "change",
    [
        f"DELETE FROM {TABLE}",
        f"UPDATE {TABLE} SET content = replace(content, 'r-a', 'r-x')",
        f"UPDATE {TABLE} SET content = '{{'",
        f"UPDATE {TABLE} SET digest = '0'",
        f"UPDATE {TABLE} SET entry_hash = '0'",
        f"UPDATE {TABLE} SET entry_id = 3",
        f"UPDATE {TABLE} SET app = 'shop'",
        f"UPDATE {TABLE} SET kind = 'view:0'",
    ],
)
def test_one_that_was_changed_or_is_gone_is_not_used(
    kept: Journal, home: Home, database: sa.Engine, change: str
) -> None:
    meddle(database, change)
    view = in_another_process(home)
    assert view == JournalView.of(kept.entries())
    assert view.n_kept == 0


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
    kept: Journal, home: Home, database: sa.Engine, lie: dict, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = checkpoints(database)
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(json.loads(row["content"]) | lie)))
    assert in_another_process(home) == JournalView.of(kept.entries())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "at entry 4 (movies) of the journal is not used: its content does not fit the entries" in caplog.text


def lie_about_moves(database: sa.Engine, **changes: object) -> None:
    """Let the checkpoint say all of its moves were folded, and these wrong things of them."""
    (row,) = checkpoints(database)
    content = json.loads(row["content"])
    truth = {"way": ["r-a", "r-b"], "latest": {"r-a": 2, "r-b": 4}, "since": 4, "order": 3}
    content["moves"] = {"older": truth | changes, "recent": []}
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(content)))


@pytest.mark.parametrize("entry_id", [1, 2, 5, 6, 99])  # an intent, another release, no move, another application, none
def test_a_rollback_to_a_named_release_trusts_no_wrong_checkpoint(
    home: Home, database: sa.Engine, entry_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    intent = journal.append(Note(Action.PROMOTE, Phase.INTENT, "r-c", "g-c", 1, epoch=0))
    for release in ("r-a", "r-c", "r-b"):
        journal.append(Note(Action.PROMOTE, Phase.DONE, release, f"g-{release}", 1, epoch=1))
    journal.append(Note(Action.RECORD, Phase.DONE, "r-c"))
    Journal(home, "shop", FixedClock(MOMENT)).append(Note(Action.PROMOTE, Phase.DONE, "r-c", "g-shop", 1))
    journal.append(Note(Action.RECORD, Phase.DONE, "r-c"))
    journal.keep_checkpoint()
    lie_about_moves(database, way=["r-c", "r-a", "r-b"], latest={"r-a": 2, "r-b": 4, "r-c": entry_id}, since=4, order=4)
    view = in_another_process(home)
    assert view.n_kept == 6
    assert (view.rollback_target("r-c").id, view.rollback_target("r-c").generation_id) == (3, "g-r-c")
    assert intent.id == 1
    assert f"entry {entry_id} did not put release r-c in production" in caplog.text
    journal.close()


@pytest.mark.parametrize("since", [1, 2, 5, 99])
def test_since_when_a_release_is_in_production_trusts_no_wrong_checkpoint(
    kept: Journal, home: Home, database: sa.Engine, since: int
) -> None:
    lie_about_moves(database, since=since)
    assert in_another_process(home).production_since.id == 4
    later = Journal(home, "movies").at(MOMENT)
    assert (later.since.id, later.production.id) == (4, 4)


def test_since_when_it_was_there_at_a_moment_is_read_from_no_later_entry_either(
    kept: Journal, home: Home, database: sa.Engine
) -> None:
    lie_about_moves(database, since=1)
    for hours, note in ((1, Note(Action.PROMOTE, Phase.DONE, "r-c", "g-c", 1)), (0, Note(Action.RECORD, Phase.DONE))):
        Journal(home, "movies", FixedClock(MOMENT + timedelta(hours=hours))).append(note)
    standing = Journal(home, "movies").at(MOMENT)
    assert (standing.production.id, standing.since.id) == (4, 4)


def test_two_processes_that_keep_the_same_one_write_it_once(
    home: Home, database: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (Journal(home, "movies", FixedClock(MOMENT)) for _ in range(2))
    for _ in range(EACH):
        first.append(Note(Action.RECORD, Phase.DONE))
    second.view()
    for journal in (first, second):
        journal.keep_checkpoint()
        journal.close()
    assert (len(checkpoints(database)), caplog.text) == (1, "")


def test_a_token_that_was_shown_for_no_version_is_refused(home: Home, database: sa.Engine) -> None:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for _ in range(EACH):
        journal.append(Note(Action.IDENTIFY, Phase.DONE))
    journal.keep_checkpoint()
    (row,) = checkpoints(database)
    content = json.loads(row["content"])
    assert content["tokens"] == []
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(content | {"tokens": [2]})))
    view = in_another_process(home)
    assert (view.tokens, view.n_kept) == ({}, 0)
    journal.close()


def test_one_of_an_entry_that_is_another_now_is_not_used(kept: Journal, home: Home, database: sa.Engine) -> None:
    """As where the journal was restored from a backup, and went on."""
    meddle(database, "DELETE FROM journal WHERE id > 2")
    kept.append(Note(Action.PROMOTE, Phase.DONE, "r-c", "g-c", 1))
    kept.append(Note(Action.RECORD, Phase.DONE))
    for view in (kept.view(), in_another_process(home)):
        assert view == JournalView.of(kept.entries())
        assert (view.production.release_id, view.rollback_target().release_id) == ("r-c", "r-a")


def test_one_of_an_entry_that_is_another_of_the_same_kind_now_is_not_used(
    kept: Journal, home: Home, database: sa.Engine
) -> None:
    meddle(database, "DELETE FROM journal WHERE id > 2")
    intent = kept.append(Note(Action.PROMOTE, Phase.INTENT, "r-b", "g-other", 1, epoch=0))
    kept.append(intent.note.ended(Phase.DONE, intent, epoch=1))
    view = in_another_process(home)
    assert view == JournalView.of(kept.entries())
    assert (view.generation_ids, view.n_kept) == (("g-other", "g-r-a"), 0)


def test_one_that_names_an_entry_of_another_application_is_not_used(
    kept: Journal, home: Home, database: sa.Engine
) -> None:
    shop = Journal(home, "shop", FixedClock(MOMENT))
    intent = shop.append(Note(Action.STAGE, Phase.INTENT, "s-a", "g", 1))
    shop.close()
    (row,) = checkpoints(database)
    lie = json.loads(row["content"]) | {"intents": [intent.id]}
    rewrite(database, replace(checkpoint_of(row), content=json.dumps(lie)))
    view = in_another_process(home)
    assert (view.n_kept, view.open_intents(Action.STAGE)) == (0, [])


def test_what_stood_at_a_moment_is_not_read_from_one_that_knows_of_a_later_entry(
    home: Home, database: sa.Engine
) -> None:
    """Clocks may go back: the entry that a checkpoint was made at need not be its latest."""
    later = MOMENT + timedelta(hours=1)
    for moment, release in ((MOMENT, "r-a"), (MOMENT, "r-a"), (later, "r-b"), (MOMENT, None)):
        journal = Journal(home, "movies", FixedClock(moment))
        journal.append(Note(Action.PROMOTE if release else Action.RECORD, Phase.DONE, release, "g", 1))
    journal.keep_checkpoint()
    before, after = (Journal(home, "movies").at(moment) for moment in (later - timedelta(seconds=1), later))
    assert (before.production.release_id, after.production.release_id) == ("r-a", "r-b")


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE {TABLE} SET content = replace(content, 'r-a', 'r-x')",
        f"UPDATE {TABLE} SET digest = '0'",
        f"UPDATE {TABLE} SET entry_id = 3",
        f"UPDATE {TABLE} SET app = 'shop'",
        None,
    ],
)
def test_verify_says_that_the_entries_are_sound_and_which_checkpoint_is_not_and_retires_it(
    kept: Journal, home: Home, database: sa.Engine, change: str | None
) -> None:
    assert kept.verify().n_entries == 5
    if change:
        meddle(database, change)
    else:
        lie_about_moves(database, way=["r-x", "r-b"], latest={"r-x": 2, "r-b": 4})
    (row,) = checkpoints(database)
    with pytest.raises(ArtefactError, match="the 5 entries are sound, but this is not what they come to") as caught:
        kept.verify()
    assert f"the checkpoint at entry {row['entry_id']} ({row['app']})" in caught.value.problem
    assert "slate journal verify --retire" in caught.value.next_step
    assert "backup" not in caught.value.problem
    retired = kept.verify(retire=True).retired
    assert [(checkpoint.app, checkpoint.entry_id) for checkpoint in retired] == [(row["app"], row["entry_id"])]
    assert checkpoints(database) == []
    assert kept.verify().retired == ()
    assert in_another_process(home) == JournalView.of(kept.entries())


def test_where_an_entry_was_changed_no_checkpoint_is_retired(kept: Journal, database: sa.Engine) -> None:
    meddle(database, "UPDATE journal SET reason = 'worse' WHERE id = 2", f"UPDATE {TABLE} SET digest = '0'")
    with pytest.raises(ArtefactError, match="entry 2 does not follow"):
        kept.verify(retire=True)
    assert len(checkpoints(database)) == 1


def test_a_wrong_receipt_of_an_earlier_check_is_not_trusted_and_retired(kept: Journal, database: sa.Engine) -> None:
    kept.verify(since_last=True)
    meddle(database, f"UPDATE {TABLE} SET latest_ts = 'never' WHERE kind = 'chain'")
    assert kept.verify(since_last=True).checked_from == 1
    with pytest.raises(ArtefactError, match=r"the checkpoint at entry 5 \(chain\)"):
        kept.verify()
    assert [checkpoint.kind for checkpoint in kept.verify(retire=True).retired] == ["chain"]


def test_the_wrong_one_is_named_and_not_those_before_and_behind_it(kept: Journal, database: sa.Engine) -> None:
    for _ in range(2):
        for _ in range(EACH):
            kept.append(Note(Action.RECORD, Phase.DONE))
        kept.keep_checkpoint()
    first, second, third = [row["entry_id"] for row in checkpoints(database)]
    meddle(database, f"UPDATE {TABLE} SET digest = '0' WHERE entry_id = {second}")
    assert [checkpoint.entry_id for checkpoint in kept.verify(retire=True).retired] == [second]
    assert [row["entry_id"] for row in checkpoints(database)] == [first, third]


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE {TABLE} SET content = ''",
        f"INSERT INTO {TABLE} SELECT kind, app, 99, {COPIED} FROM {TABLE}",
        f"INSERT INTO {TABLE} SELECT kind, app, 3, {COPIED} FROM {TABLE}",
        f"INSERT INTO {TABLE} SELECT * FROM {TABLE}",
    ],
)
def test_the_database_itself_refuses_to_change_one_or_to_take_a_wrong_one(
    kept: Journal, database: sa.Engine, change: str
) -> None:
    before = checkpoints(database)
    if database.dialect.name == "sqlite":  # which deletes the row in the way, and asks no trigger about that
        change = change.replace("INSERT", "INSERT OR REPLACE")
    with pytest.raises(sa.exc.DBAPIError, match=r"never changed|written once"), database.begin() as connection:
        connection.exec_driver_sql(change)
    assert checkpoints(database) == before


def test_a_move_told_late_across_a_checkpoint_is_put_where_it_belongs(
    home: Home, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves_module, "N_RECENT", 1)
    journal = Journal(home, "movies", FixedClock(MOMENT))
    late = journal.append(Note(Action.PROMOTE, Phase.INTENT, "r-a", "g-a", 1))
    for _ in range(EACH):
        journal.append(Note(Action.PROMOTE, Phase.DONE, "r-b", "g-b", 2))
    journal.keep_checkpoint()
    journal.append(late.note.ended(Phase.DONE, late))
    journal.keep_checkpoint()
    for view in (journal.view(), in_another_process(home)):
        assert view == JournalView.of(journal.entries())
        assert (view.production.release_id, view.rollback_target().release_id) == ("r-b", "r-a")
    assert in_another_process(home).n_kept == EACH + 2  # so that nobody has to begin with the first entry again
    assert journal.verify().n_entries == EACH + 2
    journal.close()


def test_applications_have_their_own(kept: Journal, home: Home, database: sa.Engine) -> None:
    shop = Journal(home, "shop", FixedClock(MOMENT))
    for number in range(EACH):
        shop.append(Note(Action.PROMOTE, Phase.DONE, f"s-{number}", "g", 1))
    shop.keep_checkpoint()
    assert shop.view().production.release_id == "s-3"
    assert [row["app"] for row in checkpoints(database)] == ["movies", "shop"]
    assert in_another_process(home).production.release_id == "r-b"
    assert shop.verify().n_entries == 9
    shop.close()


def test_reading_writes_nothing(home: Home, database: sa.Engine) -> None:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for _ in range(EACH):
        journal.append(Note(Action.PROMOTE, Phase.DONE, "r-a", "g-a", 1))
    journal.view()
    journal.at(MOMENT)
    journal.verify()
    in_another_process(home)
    assert not sa.inspect(database).has_table(TABLE)
    journal.keep_checkpoint()
    assert len(checkpoints(database)) == 1
    journal.close()


def test_one_is_kept_where_enough_entries_came_and_not_before(home: Home, database: sa.Engine) -> None:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    for n_entries in range(1, 2 * EACH + 2):
        journal.append(Note(Action.RECORD, Phase.DONE))
        if n_entries < EACH:
            journal.keep_checkpoint()
            assert not sa.inspect(database).has_table(TABLE)
        else:
            journal.keep_checkpoint()
            assert [row["entry_id"] for row in checkpoints(database)] == [EACH, 2 * EACH][: n_entries // EACH]
    journal.close()


def test_one_that_cannot_be_kept_is_said_in_the_log_and_stops_nobody(
    kept: Journal, home: Home, database: sa.Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the writers' lock: it is not waited for as an append would."""
    monkeypatch.setattr(journal_module, "KEEPING_WAIT_S", 0.01)
    waits: list[float] = []
    writing = kept._database.writing
    for _ in range(EACH):
        kept.append(Note(Action.PROMOTE, Phase.DONE, "r-c", "g-c", 1))
    monkeypatch.setattr(kept._database, "writing", lambda wait_s: waits.append(wait_s) or writing(wait_s))
    with open_database(home).writing():
        kept.keep_checkpoint()
        assert kept.verify(since_last=True).n_entries == 5 + EACH
        assert kept.view().production.release_id == "r-c"
    assert caplog.text.count("No checkpoint of the journal was kept") == 2
    assert waits == [0.01, 0.01]
    assert len(checkpoints(database)) == 1


def test_a_journal_restored_from_a_backup_without_the_table_is_read_on(
    kept: Journal, home: Home, database: sa.Engine
) -> None:
    """As where `slate sync --watch` goes on meanwhile."""
    meddle(database, f"DROP TABLE {TABLE}", "DELETE FROM journal WHERE id > 3")
    assert kept.view() == in_another_process(home) == JournalView.of(kept.entries())
    assert kept.verify(since_last=True).n_entries == 3
    kept.append(Note(Action.RECORD, Phase.DONE))
    kept.keep_checkpoint()
    assert in_another_process(home).n_kept == 4


def test_checking_what_came_since_the_last_check_reads_no_more(
    kept: Journal, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    whole = Entry.computed_hash

    def counted(entry: Entry) -> str:
        checked.append(entry.id)
        return whole(entry)

    assert kept.verify(since_last=True) == Verification(5, checked_from=1)
    last = kept.append(Note(Action.RECORD, Phase.DONE))
    monkeypatch.setattr(Entry, "computed_hash", counted)
    assert kept.verify(last.head, since_last=True) == Verification(6, checked_from=5)
    assert checked == [5, 6]  # the one that was the last, and what came
    assert kept.verify().n_entries == 6
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
        assert kept.verify(since_last=True).n_entries == 6
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
                    data.draw(st.sampled_from(staying)).keep_checkpoint()
                case "a new one":
                    Journal(home, "movies").keep_checkpoint()
        expected = JournalView.of(staying[0].entries())
        for journal in (*staying, Journal(home, "movies")):
            assert journal.view() == expected
        assert staying[0].verify().n_entries == len(entries)
