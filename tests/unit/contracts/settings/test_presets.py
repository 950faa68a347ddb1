"""presets/<app>.yaml: what an application has otherwise than params.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contracts.errors import SettingsError
from contracts.settings.presets import load_preset, preset_names
from contracts.settings.settings import load_settings
from pipelines.runs.overrides import write_overrides

CHECKOUT = Path(__file__).resolve().parents[4]


def test_there_are_presets_for_three_applications() -> None:
    assert preset_names(CHECKOUT) == ["articles", "movies", "shop"]


@pytest.mark.parametrize("app", preset_names(CHECKOUT))
def test_every_preset_makes_right_parameters_of_its_own_name(tmp_path: Path, app: str) -> None:
    params = Path(shutil.copy(CHECKOUT / "params.yaml", tmp_path))
    write_overrides(params, load_preset(CHECKOUT, app))
    settings = load_settings(params)
    assert settings.app == app
    assert (settings.ingest.source == "simulator") == (app != "movies")


def test_movies_is_the_checkouts_own() -> None:
    assert load_preset(CHECKOUT, "movies") == {"app": load_settings(CHECKOUT / "params.yaml").app}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "presets").mkdir()
    YAML().dump({"app": "a", "group": {"one": 1, "below": {"two": 2}}, "empty": None}, tmp_path / "params.yaml")
    return tmp_path


def preset(checkout: Path, name: str, **content: object) -> None:
    YAML().dump(content, checkout / "presets" / f"{name}.yaml")


def test_a_preset_overrides_leaf_by_leaf_and_a_group_that_is_not_there_whole(checkout: Path) -> None:
    preset(checkout, "b", app="b", group={"below": {"two": 3}}, empty={"three": 4})
    assert load_preset(checkout, "b") == {"app": "b", "group.below.two": 3, "empty": {"three": 4}}


def test_an_application_without_a_preset_is_named_with_those_that_there_are(checkout: Path) -> None:
    preset(checkout, "b", app="b")
    with pytest.raises(SettingsError, match=r"no application 'c': .*presets has b\."):
        load_preset(checkout, "c")
    with pytest.raises(SettingsError, match=r"no application '\.\./params'"):
        load_preset(checkout, "../params")


def test_a_preset_of_another_name_is_refused(checkout: Path) -> None:
    preset(checkout, "b", app="c")
    with pytest.raises(SettingsError, match=r"b\.yaml says app: c; expected b"):
        load_preset(checkout, "b")
