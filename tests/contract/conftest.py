"""A journal on each database that it can be kept in, and the database as somebody reaches it around the product."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from contracts.clock import FixedClock
from contracts.home import Home
from release.journal.checkpoint_schema import TABLE
from release.journal.journal import Journal

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WITHOUT_TRIGGERS = {
    "sqlite": (
        "DROP TRIGGER IF EXISTS journal_refuses_UPDATE",
        "DROP TRIGGER IF EXISTS journal_refuses_DELETE",
        "DROP TRIGGER IF EXISTS journal_refuses_elsewhere",
        f"DROP TRIGGER IF EXISTS {TABLE}_refuse_change",
        f"DROP TRIGGER IF EXISTS {TABLE}_refuse_wrong",
    ),
    "postgresql": (
        "ALTER TABLE journal DISABLE TRIGGER ALL",
        f"ALTER TABLE IF EXISTS {TABLE} DISABLE TRIGGER ALL",
    ),
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The journal's database as somebody reaches it who goes around the product."""
    monkeypatch.delenv("SLATE_JOURNAL_URL", raising=False)
    if request.param == "postgres":
        monkeypatch.setenv("SLATE_JOURNAL_URL", request.getfixturevalue("postgres_url"))
    home.root.mkdir()
    url = os.environ.get("SLATE_JOURNAL_URL", "").replace("postgresql:", "postgresql+psycopg2:")
    engine = sa.create_engine(url or f"sqlite:///{home.journal_database}", poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def journal(home: Home, database: sa.Engine) -> Iterator[Journal]:
    journal = Journal(home, "movies", FixedClock(MOMENT))
    yield journal
    journal.close()


def meddle(database: sa.Engine, *statements: str) -> None:
    with database.begin() as connection:
        for statement in (*WITHOUT_TRIGGERS[database.dialect.name], *statements):
            connection.exec_driver_sql(statement)
