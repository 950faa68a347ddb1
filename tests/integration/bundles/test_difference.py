"""What differs between two releases is told leaf by leaf, and how differently they answer is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.releases import difference as difference_command
from contracts.errors import ArtefactError, PromotionRefused
from contracts.features import FeatureSchema, FeatureSpec
from contracts.home import Home
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureSchemas, FeatureValues
from release.bundle.bundle import Release
from release.bundle.bundle_store import BundleStore
from release.difference import FeatureDifference, _compare_schemas, compare_bundles
from release.golden.golden_difference import compare_golden
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.lookup import find_bundle
from release.shadow.shadow import Side, replay
from release.shadow.shadow_run import golden_replays
from tests.release_worlds import CHECKOUT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def slate(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `slate diff`."""
    monkeypatch.chdir(CHECKOUT)
    app = typer.Typer()
    difference_command.add_to(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_release_is_equal_to_itself_and_answers_as_it_does(bundle: Path) -> None:
    difference = compare_bundles(bundle, bundle)
    assert difference.equal == ("data", "code", "params", "features", "dimensions", "artefacts", "metrics")
    assert (difference.golden.n_identical, difference.golden.overlap) == (9, 1.0)
    assert difference.golden.rank_biased_overlap == pytest.approx(1.0)
    assert difference.same_people


def test_two_releases_differ_where_they_were_made_to(bundle: Path, other: Path) -> None:
    difference = compare_bundles(bundle, other)
    assert difference.params == {"request.personal_min_events": (5, 6), "seed": (7, 8)}
    assert difference.equal == ("code",)
    assert difference.features["user"].changed["user_event_tenure_days_total"].keys() == {"default"}
    assert set(difference.artefacts) == {
        f"{fit}.{part}" for fit in ("shipped", "measured") for part in ("candidates", "index", "ranking")
    }
    was, now, change = difference.metrics["headline"]["ndcg_at_10"]
    assert change == now - was
    assert not difference.same_people
    assert difference.golden.n_identical < len(difference.golden.queries) == 9
    assert 0 < difference.golden.overlap < 1
    # In the other's training data nothing happened within an hour of a snapshot, and its schema has no such count.
    assert difference.golden.defaulted == {"user": ("user_event_count_1h",), "item": ("item_event_count_1h",)}
    assert json.loads(json.dumps(difference.to_json()))["releases"] == list(difference.releases)


def test_what_is_asked_are_the_second_ones_queries_as_it_answered_them(bundle: Path, other: Path) -> None:
    there = {query.request_id: query for query in compare_bundles(bundle, other).golden.queries}
    back = compare_bundles(other, bundle).golden
    assert there.keys() == {query.request_id for query in back.queries}
    expected = json.loads((other / "golden" / "queries.json").read_bytes())["queries"]
    for query in expected:
        assert there[query["request"]["request_id"]].tiers[1] == query["answer"]["tier"]


def test_features_are_told_apart_by_name_default_and_order(built: Release) -> None:
    user = built.schemas.user
    first, second, *others = user.features
    renamed = FeatureSchema(user.entity, (second, first, *others[1:], FeatureSpec("user_shoe_size", 42.0, 9.0)))
    assert _compare_schemas(user, renamed) == FeatureDifference(
        added=("user_shoe_size",), removed=(others[0].name,), changed={}, reordered=True
    )
    older = FeatureSchema(user.entity, (FeatureSpec(first.name, first.default, first.ttl_days + 1), second, *others))
    assert _compare_schemas(user, older) == FeatureDifference(
        changed={first.name: {"ttl_days": (first.ttl_days, first.ttl_days + 1)}}
    )


def test_the_text_shows_what_differs_and_names_the_rest_in_one_line(
    slate: Callable[..., Result], bundle: Path, other: Path
) -> None:
    lines = slate(str(bundle), str(other)).stdout.splitlines()
    assert lines[1] == "equal: code"
    assert "  seed                         7  ->  8" in lines
    assert "metrics, measured on other people: not comparable" in lines
    assert any(line.startswith("golden slates: ") and line.endswith(" of 9 identical") for line in lines)
    assert "one release, equal in everything" in slate(str(bundle), str(bundle)).stdout
    assert json.loads(slate(str(bundle), str(other), "--json").stdout)["equal"] == ["code"]


def test_a_release_is_found_by_its_id_and_what_is_unknown_is_said(home: Home, bundle: Path) -> None:
    kept = BundleStore(home).keep(bundle)
    assert find_bundle(kept.name, home, "movies") == kept
    assert find_bundle(str(bundle), home, "movies") == bundle
    with pytest.raises(ArtefactError, match=f"does not hold release 'r-0123456789ab'; it holds {kept.name}"):
        find_bundle("r-0123456789ab", home, "movies")
    with pytest.raises(ArtefactError, match="'yesterday' names no release") as unknown:
        find_bundle("yesterday", home, "movies")
    assert kept.name in unknown.value.next_step
    for place in ("production", "Staging"):
        with pytest.raises(PromotionRefused, match=f"knows no release in {place.capitalize()}"):
            find_bundle(place, home, "movies")


def test_staging_is_what_stands_there_now_and_nothing_after_it_was_taken_out_or_promoted(
    home: Home, bundle: Path
) -> None:
    kept, journal = BundleStore(home).keep(bundle), Journal(home, "movies")
    for emptied_by in (Note(Action.STAGE, Phase.DONE), Note(Action.PROMOTE, Phase.DONE, kept.name)):
        journal.append(Note(Action.STAGE, Phase.DONE, kept.name))
        assert find_bundle("staging", home, "movies") == kept
        journal.append(emptied_by)
        with pytest.raises(PromotionRefused, match="knows no release in Staging"):
            find_bundle("staging", home, "movies")
    assert find_bundle("production", home, "movies") == kept


def test_a_damaged_bundle_is_not_compared(bundle: Path, other: Path) -> None:
    (bundle / "rules.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"rules\.json"):
        compare_bundles(other, bundle)


def test_features_that_the_second_lacks_are_named_for_the_first_answers_with_its_defaults(built: Release) -> None:
    user = built.schemas.user
    richer = FeatureSchema(user.entity, (*user.features, FeatureSpec("user_shoe_size", 42.0, 9.0)))
    difference = compare_golden(replace(built, schemas=FeatureSchemas(richer, built.schemas.item)), built)
    assert difference.defaulted == {"user": ("user_shoe_size",)}
    assert len(difference.queries) == 9


def test_diff_and_shadow_say_the_same_of_a_slate_of_five_beside_one_of_ten(built: Release) -> None:
    shorter = replace(built, request=built.request.model_copy(update={"max_k": 5}))
    of_golden = compare_golden(shorter, built)
    assert {query.overlap for query in of_golden.queries} == {0.5}
    assert built.folder is not None
    reader = OfflineFeatureReader(FeatureValues.load(built.folder / "values"), built.schemas, built.catalogue.ids)
    sides = Side(shorter, reader), Side(built, reader)
    of_shadow = replay(*sides, golden_replays(built), built.as_of).to_json()["all"]
    assert of_golden.rank_biased_overlap == pytest.approx(of_shadow["rank_biased_overlap"]) == pytest.approx(1.0)
