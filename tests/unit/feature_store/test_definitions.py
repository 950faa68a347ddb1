import re
from datetime import timedelta

import pytest

from feature_store.definitions import ALL_VIEWS
from feature_store.views import Feature, FeatureView

FEATURES = [(view, feature) for view in ALL_VIEWS for feature in view.features]


def test_every_name_is_there_once():
    names = [feature.name for _, feature in FEATURES]
    assert len(names) == len(set(names))
    assert len({view.name for view in ALL_VIEWS}) == len(ALL_VIEWS)


@pytest.mark.parametrize("view", ALL_VIEWS, ids=lambda view: view.name)
def test_a_view_says_whom_to_ask_and_what_it_is(view: FeatureView):
    assert view.owner
    assert view.description.endswith(".")


@pytest.mark.parametrize(("view", "feature"), FEATURES, ids=lambda value: value.name)
def test_a_name_begins_with_its_entity_and_tells_its_window(view: FeatureView, feature: Feature):
    assert feature.name.startswith(f"{view.entity}_")
    found = re.search(r"_(?:of_)?(\d+)d$", feature.name)
    days = None if view.window is None else view.window // timedelta(days=1)
    assert (int(found[1]) if found else None) == days


@pytest.mark.parametrize("view", ALL_VIEWS, ids=lambda view: view.name)
def test_a_ttl_does_not_cut_the_window(view: FeatureView):
    assert view.window is None or view.reach == view.window
