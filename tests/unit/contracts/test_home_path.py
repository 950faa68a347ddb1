"""A path of SLATE_HOME that the programs we start do not take is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.doctor import _home
from contracts.errors import WorkspaceError
from contracts.home import Home, check_plain, check_quotable
from pipelines.runs.workspace import configure_dvc


@pytest.mark.parametrize(
    "name",
    ["daten-ü", "数据", "50%", "%(home)s", "a[1]", "it's", 'say "so"', "a#b", "what?", "a;b", "a\nb", "back\\slash"],
)
def test_a_sign_that_breaks_other_programs_files_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    checkout, home = tmp_path / "checkout", Home(tmp_path / name)
    (checkout / ".dvc").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="The path of SLATE_HOME holds") as told:
        configure_dvc(checkout, home)
    assert "export SLATE_HOME=" in told.value.next_step
    assert list((checkout / ".dvc").iterdir()) == []
    assert not home.root.exists()


@pytest.mark.parametrize("name", ["plain", "with space", "a+b@c,d=e~f(g)", "..", "under_score-1.2"])
def test_a_plain_path_is_taken(tmp_path: Path, name: str) -> None:
    check_plain(Home(tmp_path / name))


def test_what_was_taken_is_what_dvc_reads(tmp_path: Path) -> None:
    from dvc.config import Config

    checkout, home = tmp_path / "check out", Home(tmp_path / "with space" / "a+b@c,d=e~f(g)")
    (checkout / ".dvc").mkdir(parents=True)
    configure_dvc(checkout, home)
    assert Config(dvc_dir=str(checkout / ".dvc"))["cache"]["dir"] == str(home.dvc_cache)


def test_a_checkout_whose_path_sqlite_cannot_quote_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    checkout, home = tmp_path / """b'"q""", Home(tmp_path / "home")
    (checkout / ".dvc").mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="both ' and \""):
        configure_dvc(checkout, home)
    assert list((checkout / ".dvc").iterdir()) == []
    assert not home.root.exists()
    check_quotable(tmp_path / "it's")


def test_the_doctor_calls_no_home_sound_that_setup_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "50%"))
    assert _home().state == "missing"
    assert "The path of SLATE_HOME holds %" in _home().found
