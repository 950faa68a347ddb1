"""What a rollback reads of params.yaml is what `load_settings` reads, however it is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import SettingsError
from contracts.settings.quick_params import load_rollback_params
from contracts.settings.settings import load_settings

CHECKOUT = Path(__file__).resolve().parents[4]


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((CHECKOUT / "params.yaml").read_text())
    return path


def write(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def assert_read_as_always(path: Path) -> None:
    always, here = load_settings(path), load_rollback_params(path)
    assert (here.app, here.publish) == (always.app, always.publish)


def test_the_checkouts_own_file_is_read_without_what_reads_and_checks_it_all(params: Path) -> None:
    assert_read_as_always(params)
    program = (
        "import sys; from contracts.settings.quick_params import load_rollback_params; load_rollback_params()\n"
        "print([name for name in ('pydantic', 'ruamel') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("app: movies", "app: articles # for now"),
        ("app: movies", 'app: "shop"'),
        ("app: movies", "app:\n  shop"),
        ("app: movies", "app : shop"),
        ("app: movies", "app: &name shop"),
        ("app: movies", "'app': shop"),
        ("app: movies\n", "app: shop\r\n"),
        ("app: movies\n", "# app: films\napp: movies\n"),
        ("publish:\n", "publish: # what follows\n\n  # a comment\n"),
        ("  batch_size: 5000", "  batch_size: 7_000"),
        ("publish:\n  batch_size: 5000", "publish: &other\n  batch_size: 0x10"),
    ],
)
def test_however_it_is_written_it_is_read_alike(params: Path, old: str, new: str) -> None:
    write(params, old, new)
    assert_read_as_always(params)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("app: movies", "app: Movies!"),
        ("app: movies", "app: true"),
        ("app: movies", "app: shop#2"),
        ("app: movies\n", "app: shop\n  two\n"),
        ("app: movies\n", "app: shop\n\n  two\n"),
        ("app: movies\n", "app: movies\napp: shop\n"),
        ("batch_size: 5000", "batch_size: many"),
        ("batch_size: 5000", "batch_size: 100001"),
        ("batch_size: 5000", "batch_size: 0"),
    ],
)
def test_what_is_wrong_is_told_as_always(params: Path, old: str, new: str) -> None:
    write(params, old, new)
    with pytest.raises(SettingsError) as always:
        load_settings(params)
    with pytest.raises(SettingsError) as here:
        _ = load_rollback_params(params).publish
    assert str(here.value) == str(always.value)


def test_a_file_that_is_not_there_is_told_as_always(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is missing"):
        load_rollback_params(tmp_path / "params.yaml")


def test_a_slip_in_another_parameter_stops_no_rollback(params: Path) -> None:
    expected = load_settings(params)
    write(params, "seed: 7", "seed: seven")
    params_of_rollback = load_rollback_params(params)
    assert (params_of_rollback.app, params_of_rollback.publish) == (expected.app, expected.publish)


def test_without_a_name_that_can_be_told_the_file_is_read_and_checked(params: Path) -> None:
    write(params, "app: movies", "apps: movies")
    with pytest.raises(SettingsError, match="app"):
        load_rollback_params(params)
