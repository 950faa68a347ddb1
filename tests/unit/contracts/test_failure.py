"""What a process that fails leaves for whoever started it."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import (
    ArtefactError,
    Busy,
    HashMismatch,
    RegistryUnavailable,
    SettingsError,
    SourceUnavailable,
    StoreUnavailable,
)
from contracts.failure import CAUSE_FILE, exit_status, write_cause


@pytest.mark.parametrize("kind", [Busy, RegistryUnavailable, SourceUnavailable, StoreUnavailable])
def test_what_is_away_or_held_may_go_well_later(kind: type) -> None:
    assert exit_status(kind("Away.", "Start it.")) == 75


@pytest.mark.parametrize("kind", [SettingsError, ArtefactError, HashMismatch])
def test_what_is_wrong_ends_the_same_way_again(kind: type) -> None:
    assert exit_status(kind("Wrong.", "Mend it.")) == 1


def test_the_innermost_cause_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cause("nobody asked")
    cause = tmp_path / "cause.txt"
    monkeypatch.setenv(CAUSE_FILE, str(cause))
    write_cause("whoever asked is gone")
    assert not cause.exists()
    cause.touch()
    write_cause("ingest: the file is gone")
    write_cause("the step ended with 1")
    assert cause.read_text() == "ingest: the file is gone"
