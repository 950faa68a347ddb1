import pkgutil
import re
from datetime import timedelta
from importlib import import_module

import pytest

from contracts.features import Entity
from feature_store import definitions
from feature_store.definitions import ALL_VIEWS, features_of
from feature_store.definitions.views import Feature, FeatureView

FEATURES = [(view, feature) for view in ALL_VIEWS for feature in view.features]


def test_every_name_is_there_once():
    names = [feature.name for _, feature in FEATURES]
    assert len(names) == len(set(names))
    assert len({view.name for view in ALL_VIEWS}) == len(ALL_VIEWS)


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(definitions.__path__)])
def test_the_views_of_every_module_are_in_the_list(name: str):
    declared = getattr(import_module(f"feature_store.definitions.{name}"), "VIEWS", ())
    assert set(declared) <= set(ALL_VIEWS), f"name {name} in feature_store/definitions/__init__.py"


@pytest.mark.parametrize("view", ALL_VIEWS, ids=lambda view: view.name)
def test_a_view_says_whom_to_ask_and_what_it_is(view: FeatureView):
    assert view.owner
    assert view.description.endswith(".")


@pytest.mark.parametrize(("view", "feature"), FEATURES, ids=lambda value: value.name)
def test_a_name_begins_with_its_entity_and_tells_its_window(view: FeatureView, feature: Feature):
    assert feature.name.startswith(f"{view.entity}_")
    found = re.search(r"_(?:of_)?(\d+)([hd])$", feature.name)
    told = timedelta(hours=int(found[1]) * {"h": 1, "d": 24}[found[2]]) if found else None
    assert told == view.window


@pytest.mark.parametrize(("view", "feature"), FEATURES, ids=lambda value: value.name)
def test_what_a_feature_rests_on_is_a_feature_of_the_same_entity(view: FeatureView, feature: Feature):
    names = {other.name for other, _ in features_of(view.entity)}
    assert feature.rests_on is None or feature.rests_on in names - {feature.name}


def test_a_persons_row_stays_within_its_bytes():
    # 250 bytes a person: 16 of header, 4 per feature, and what Redis keeps beside a packed row of a bucket, 30 at most.
    assert 16 + 4 * len(features_of(Entity.USER)) + 30 <= 250


@pytest.mark.parametrize("view", ALL_VIEWS, ids=lambda view: view.name)
def test_a_ttl_does_not_cut_the_window(view: FeatureView):
    assert view.window is None or view.reach == view.window
