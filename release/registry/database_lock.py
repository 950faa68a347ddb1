"""MLflow's own SQLite database, where another process holds it: for how long we wait, and what is said then.

MLflow waits 20 s for every statement, tries again, and prints a page of SQLAlchemy in the end.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

from contracts.errors import RegistryUnavailable

PATIENCE_S = 5.0  # a write of MLflow takes milliseconds; longer means that somebody keeps the database
SQLITE: Final = "sqlite:///"
_LOCKED: Final = ("database is locked", "database table is locked")


def check_not_locked(uri: str) -> None:
    """Raise RegistryUnavailable where the address names an SQLite database that nobody else lets us read."""
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as database:
            database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if is_lock(str(error)):
            raise held_by_another(uri) from error
        # Whatever else is wrong with the file, MLflow says in its own words.


def is_lock(message: str) -> bool:
    """Whether this is what SQLite says when somebody else holds the database."""
    return any(words in message for words in _LOCKED)


def held_by_another(uri: str) -> RegistryUnavailable:
    """The error of a database that somebody else keeps."""
    path = uri.removeprefix(SQLITE)
    return RegistryUnavailable(
        f"MLflow's database {path} is held by another process for more than {PATIENCE_S:g} s.",
        f"See which one (`fuser -v {path}`), end it if it hangs, and run the same command again: nothing is half done. "
        "Serving and `slate rollback` go on without it.",
    )


@cache
def wait_less_for_the_database() -> None:
    """From now on MLflow waits PATIENCE_S in this process, and its errors are told by us alone."""
    from sqlalchemy import Engine, event  # noqa: PLC0415 - takes 0.2 s, and MLflow brings it anyway

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def shorten(*event_values: Any) -> tuple[str, Any]:
        _connection, _cursor, statement, parameters, *_others = event_values
        if statement.startswith("PRAGMA busy_timeout"):  # which MLflow begins every session with
            return f"PRAGMA busy_timeout = {int(PATIENCE_S * 1000)}", parameters
        return statement, parameters
