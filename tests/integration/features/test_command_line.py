"""`slate features`: what is declared, and what the last training made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.data.features import features_app
from contracts.errors import UnknownId
from contracts.features import Entity, FeatureSchema, FeatureSpec
from feature_store.definitions import features_of
from feature_store.values.values import FeatureSchemas
from recommender.on_demand import NAMES


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing was trained."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*arguments: str) -> str:
    done = CliRunner().invoke(features_app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def learn(folder: Path) -> None:
    user = FeatureSchema(Entity.USER, (FeatureSpec("user_value_mean_total", 3.5, 36_500.0),))
    FeatureSchemas(user, FeatureSchema(Entity.ITEM, ())).save(folder / "data" / "features")


def test_every_feature_is_listed_with_its_view_and_where_it_is_computed():
    views = json.loads(told("list", "--json"))
    listed = {feature["name"]: view for view in views for feature in view["features"]}
    assert set(listed) == {*NAMES, *(feature.name for entity in Entity for feature, _ in features_of(entity))}
    assert listed["user_event_count_7d"]["computed"] == "published, live"
    assert listed["pair_category_lift_all"]["computed"] == "on demand"
    assert listed["pair_category_lift_all"]["entity"] == "user-item"
    assert "user_event_count_7d" in told("list")


def test_a_view_is_described_by_its_own_name_and_by_a_features():
    by_view = told("describe", "user_value_total")
    assert "user_value_mean_total" in by_view
    assert "user_value_std_total" in by_view
    by_feature = told("describe", "user_value_mean_total")
    assert by_feature.startswith("user_value_total: ")
    assert "user_value_std_total" not in by_feature


def test_before_any_training_the_rule_of_a_default_is_told_alone():
    text = told("describe", "user_value_mean_total")
    assert "where missing: the median of training\n" in text


def test_after_a_training_so_is_what_it_learnt_and_what_it_left_out(checkout: Path):
    learn(checkout)
    assert "the median of training; here 3.5" in told("describe", "user_value_mean_total")
    assert "where missing: 0; left out here" in told("describe", "user_purchase_count_7d")
    assert "left out" not in told("describe", "pair_rank_best")
    assert json.loads(told("describe", "user_value_total", "--json"))["learnt"] == {"user_value_mean_total": 3.5}


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one():
    with pytest.raises(UnknownId, match="Did you mean user_purchase_count_7d"):
        told("describe", "user_purchases_count_7d")
    with pytest.raises(UnknownId, match="slate features list"):
        told("describe", "zzz")
