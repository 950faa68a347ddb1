"""The environment: what a stopped run left behind is never taken for a whole one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import bootstrap


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of nothing but the two locks, in which nothing is downloaded."""
    for name, path in {"VENV": ".venv", "STAMP": ".venv/stamp", "LOCK": "lock", "BOOTSTRAP_LOCK": "first"}.items():
        monkeypatch.setattr(bootstrap, name, tmp_path / path)
    monkeypatch.setattr(bootstrap, "TOP", tmp_path)
    for name in ("lock", "first", "pyproject.toml"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_an_environment_whose_making_was_stopped_is_made_anew(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho No module named pip >&2; exit 1\n")
    monkeypatch.setattr(bootstrap, "_install", lambda uv: 0.0)
    monkeypatch.setattr(bootstrap, "_run", lambda command: None)
    bootstrap.main()
    pip = [checkout / ".venv" / "bin" / "python", "-m", "pip", "--version"]
    assert subprocess.run(pip, capture_output=True, check=False).returncode == 0


def test_an_update_that_is_stopped_leaves_no_environment_that_counts_as_whole(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(command: list[object]) -> None:
        raise KeyboardInterrupt

    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "stamp").write_text("of an older lock")
    monkeypatch.setattr(bootstrap, "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.main()
    assert not (checkout / ".venv" / "stamp").exists()


def test_every_module_with_compiled_loops_is_compiled_when_the_environment_is_made():
    room = Path(bootstrap.__file__).parent / "recommender"
    files = [path for path in room.rglob("*.py") if "\n@compiled(" in path.read_text(encoding="utf-8")]
    modules = [".".join(path.relative_to(room.parent).with_suffix("").parts) for path in files]
    assert sorted(modules) == sorted(bootstrap.COMPILED)
