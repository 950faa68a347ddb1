"""`slate clean`: what was built goes, after a question; what nothing can build again stays unless it is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import command_line
from contracts.home import Home


@pytest.fixture
def built(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which things were built, and traffic was collected."""
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    monkeypatch.chdir(checkout)
    for folder in (checkout / "models", checkout / "inbox", home.root / "bundles", home.traffic / "shop"):
        folder.mkdir(parents=True)
        (folder / "one").write_text("x")
    (home.root / "journal.db").write_text("x")
    return checkout


def clean(*options: str, said: str = "") -> Result:
    return CliRunner().invoke(command_line(), ["clean", *options], input=said)


def test_what_was_built_goes_and_collected_traffic_stays(built: Path, home: Home) -> None:
    done = clean("--yes")
    assert done.exit_code == 0, done.output
    assert [path.name for path in home.root.iterdir()] == ["traffic"]
    assert (home.traffic / "shop" / "one").exists()
    assert not (built / "models").exists()
    assert (built / "inbox" / "one").exists()
    assert f"{home.traffic} stays: nothing builds it again" in done.output
    assert clean("--yes").output.splitlines()[-1] == "nothing to remove"


def test_traffic_goes_where_it_is_named(built: Path, home: Home) -> None:
    done = clean("--yes", "--traffic")
    assert done.exit_code == 0, done.output
    assert list(home.root.iterdir()) == []
    assert str(home.traffic) in done.output


def test_nothing_goes_where_the_answer_is_no(built: Path, home: Home) -> None:
    refused = clean(said="n\n")
    assert refused.exit_code == 1
    assert {path.name for path in home.root.iterdir()} == {"bundles", "traffic", "journal.db"}
    assert (built / "models" / "one").exists()
    assert f"  {home.root / 'bundles'}\n" in refused.output


def test_a_folder_below_the_checkout_is_no_place_to_clean_from(
    built: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built / "inbox")
    assert clean("--yes").exit_code == 1
    assert (home.root / "bundles" / "one").exists()
