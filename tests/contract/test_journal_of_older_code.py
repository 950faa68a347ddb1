"""A journal that today's code uses stays one that older code opens.

A refresh runs the code at the tag of the release in production, which may be older than the code that promoted it. So
no table of today's code may take a journal out of the hands of the code of before.

tests/golden/journal_code_<commit>.tar.xz holds the journal's code of that commit, and what it imports of ours. It was
made by `git archive COMMIT FILES | xz -9e`, where `sys.modules` named the files.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.clock import FixedClock
from contracts.home import Home
from release.journal import journal as journal_module
from release.journal.checkpoint_schema import TABLE
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from tests.contract.conftest import MOMENT

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BEFORE_CHECKPOINTS = "journal_code_3432c79.tar.xz"  # it knows the schemas 0001 and 0002, and refuses any other
OF_SCHEMA_0003 = "journal_code_dbee655.tar.xz"  # it keeps checkpoints in a table of the journal's own schema
KNOWN_BEFORE_CHECKPOINTS = ("0001", "0002")
PROMOTED = Note(Action.PROMOTE, Phase.DONE, "r-a", "g-a", 1, epoch=1)
PROGRAM = """
import sys
from pathlib import Path
from contracts.home import Home
try:
    from release.journal.journal import Action, Journal, Note, Phase
except ImportError:
    from release.journal import Action, Journal, Note, Phase
journal = Journal(Home(Path(sys.argv[1])), "movies")
journal.append(Note(Action.REFRESH, Phase.DONE, "r-a", sys.argv[2], 1, epoch=2))
if hasattr(journal, "view"):
    journal.view()
print(journal.verify(), [entry.generation_id for entry in journal.entries()][-1])
"""


def run_older(archive: str, folder: Path, home: Home, generation_id: str) -> str:
    """What the code of an archive prints when it opens the journal, refreshes, and verifies."""
    with tarfile.open(GOLDEN / archive) as packed:
        packed.extractall(folder)  # packed by us; Python 3.11.2, as Debian has it, knows no `filter`
    command = [sys.executable, "-c", PROGRAM, str(home.root), generation_id]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def version_of(database: sa.Engine) -> list[str]:
    with database.connect() as connection:
        return list(connection.exec_driver_sql("SELECT version_num FROM journal_version").scalars())


def n_checkpoints(database: sa.Engine) -> int:
    with database.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {TABLE}").scalar_one()


@pytest.fixture(autouse=True)
def _kept_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "ENTRIES_PER_CHECKPOINT", 1)


def use(home: Home) -> None:
    """Everything that today's code may write into a journal."""
    journal = Journal(home, "movies", FixedClock(MOMENT))
    journal.append(PROMOTED)
    journal.keep_checkpoint()
    journal.verify(since_last=True)
    journal.close()


def test_a_journal_with_checkpoints_has_a_version_that_older_code_accepts(home: Home, database: sa.Engine) -> None:
    use(home)
    assert n_checkpoints(database) == 2
    (version,) = version_of(database)
    assert version in KNOWN_BEFORE_CHECKPOINTS


def test_older_code_reads_and_appends_between_uses_by_todays(home: Home, database: sa.Engine, tmp_path: Path) -> None:
    use(home)
    assert run_older(OF_SCHEMA_0003, tmp_path / "newer", home, "g-b") == "2 g-b"
    assert version_of(database) == ["0003"]
    use(home)
    assert version_of(database) == ["0002"]
    assert not sa.inspect(database).has_table("journal_checkpoints")  # it would be in the way of code that adds it
    assert run_older(BEFORE_CHECKPOINTS, tmp_path / "older", home, "g-c") == "4 g-c"
    journal = Journal(home, "movies")
    assert journal.verify().n_entries == 4
    view = journal.view()
    assert (view.production.generation_id, view.n_entries, view.n_kept) == ("g-c", 4, 3)
    journal.close()
