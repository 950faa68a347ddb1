"""`slate parity` and `slate features get` as a user calls them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.data import feature_values, features
from cli.releases import parity
from contracts.tables import CanonicalTables
from feature_store.online.keys import users_key
from release.parity.parity_result import load_last_parity
from tests.integration.serving.test_parity import PEOPLE, Answering, clicked, spoil
from tests.integration.serving.worlds import Stage


@pytest.fixture
def slate(stage: Stage, world: CanonicalTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command of these two modules where the tables of the release lie in data/valid."""
    world.save(tmp_path / "data" / "valid")
    monkeypatch.chdir(tmp_path)
    for module in (parity, feature_values):
        monkeypatch.setattr(module, "load_settings", lambda: stage.settings)
    app = typer.Typer()
    app.callback()(lambda: None)
    parity.add_to(app)
    features.add_to(app)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_parity_is_told_and_kept_for_the_gate(stage: Stage, slate: Any) -> None:
    answering = Answering(stage)
    answering.answer(*PEOPLE)
    ran = slate("parity")
    assert ran.exit_code == 0, ran.output
    assert f"release {answering.release_id}: 6 answers" in ran.stdout
    assert "0 at fault" in ran.stdout
    kept = load_last_parity(stage.home.parity / stage.settings.app, answering.release_id)
    assert kept is not None
    assert (kept.n_requests, kept.n_faults) == (6, 0)


def test_faults_are_a_table_by_feature_and_an_exit_code(stage: Stage, slate: Any) -> None:
    answering = Answering(stage)
    key = users_key(stage.settings.app, answering.generation_id, 0)
    row = spoil(stage.redis.hget(key, PEOPLE[1]), PEOPLE[1], answering.schemas.user, "user_age", 99.0)
    stage.redis.hset(key, PEOPLE[1], row)
    answering.answer(*PEOPLE)
    ran = slate("parity")
    assert ran.exit_code == 1
    assert "user_age  6       1         0        0" in ran.stdout
    assert "99.0 online" in ran.stdout
    assert slate("parity", "--max-share", "0.5").exit_code == 0
    [told] = json.loads(slate("parity", "--json").stdout)
    assert told["n_faults"] == 1
    assert [one["name"] for one in told["features"] if one["mismatch"]] == ["user_age"]


def test_what_was_found_with_a_tolerance_is_not_kept_for_the_gate(stage: Stage, slate: Any) -> None:
    answering = Answering(stage)
    key = users_key(stage.settings.app, answering.generation_id, 0)
    row = spoil(stage.redis.hget(key, PEOPLE[1]), PEOPLE[1], answering.schemas.user, "user_age", 99.0)
    stage.redis.hset(key, PEOPLE[1], row)
    answering.answer(*PEOPLE)
    assert slate("parity").exit_code == 1
    tolerated = slate("parity", "--tolerance", "100")
    assert (tolerated.exit_code, "0 at fault" in tolerated.stdout) == (0, True)
    kept = load_last_parity(stage.home.parity / stage.settings.app, answering.release_id)
    assert kept is not None
    assert kept.n_faults == 1


def test_of_the_latest_answers_alone(stage: Stage, slate: Any) -> None:
    Answering(stage).answer(*PEOPLE)
    assert ": 2 answers" in slate("parity", "--requests", "2").stdout


def test_a_persons_row_is_shown_as_it_is_stored(stage: Stage, slate: Any) -> None:
    stage.point_at(0)
    told = json.loads(slate("features", "get", "--user", PEOPLE[0], "--json").stdout)
    assert (told["entity"], told["id"], told["known"]) == ("user", PEOPLE[0], True)
    assert (told["release_id"], told["generation_id"]) == stage.pairs[0]
    assert told["written"] == stage.as_of.replace(microsecond=0).isoformat()
    values = {row["feature"]: row for row in told["features"]}
    assert values["user_age"] == {"feature": "user_age", "value": 18.0, "state": "value", "ttl_days": 36_500.0}
    assert told["history"]["n_events"] == values["user_event_count_total"]["value"]
    assert len(told["history"]["last"]) == 10
    assert {event["event_type"] for event in told["history"]["last"]} == {"rating"}
    assert told["history"]["last"][-1]["event_ts"] == max(event["event_ts"] for event in told["history"]["last"])


def test_a_history_says_how_many_events_it_does_not_show(stage: Stage, slate: Any) -> None:
    stage.point_at(0)
    n_events = json.loads(slate("features", "get", "--user", PEOPLE[0], "--json").stdout)["history"]["n_events"]
    shown = slate("features", "get", "--user", PEOPLE[0]).stdout
    assert f"history: {n_events} events, of which the {n_events - 10} oldest are left out here" in shown


def test_a_row_older_than_its_ttl_says_which_values_expired(
    stage: Stage, slate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contracts.clock import FixedClock
    from serving import current_release

    later = FixedClock(stage.as_of + timedelta(days=8))
    monkeypatch.setattr(current_release, "clock_maker", lambda _kind: lambda _release: later)
    stage.point_at(0)
    told = json.loads(slate("features", "get", "--user", PEOPLE[0], "--json").stdout)
    states = {row["feature"]: row["state"] for row in told["features"]}
    assert (states["user_event_count_7d"], states["user_event_count_total"]) == ("expired", "live")
    assert states["user_value_mean_total"] == "value"
    assert told["age_days"] == pytest.approx(8, abs=1e-4)


def test_what_somebody_did_since_is_in_what_is_shown(stage: Stage, slate: Any) -> None:
    stage.point_at(0)
    before = json.loads(slate("features", "get", "--user", PEOPLE[0], "--json").stdout)
    clicked(stage, PEOPLE[0], stage.as_of, items=("i1003", "i1004"))
    after = json.loads(slate("features", "get", "--user", PEOPLE[0], "--json").stdout)
    total = {row["feature"]: row["value"] for row in before["features"]}["user_event_count_total"]
    assert {row["feature"]: row["value"] for row in after["features"]}["user_event_count_total"] == total + 2
    assert after["history"]["n_events"] == before["history"]["n_events"] + 2


def test_an_item_has_no_history_and_an_unknown_one_is_defaults_alone(stage: Stage, slate: Any) -> None:
    stage.point_at(0)
    known = slate("features", "get", "--item", "i1000")
    assert "item_event_count_total" in known.stdout
    assert "history" not in known.stdout
    unknown = json.loads(slate("features", "get", "--item", "never heard of", "--json").stdout)
    assert (unknown["known"], unknown["written"], unknown["history"]) == (False, None, None)
    assert {row["state"] for row in unknown["features"]} == {"missing"}
    assert "not in the store" in slate("features", "get", "--item", "never heard of").stdout


@pytest.mark.parametrize("arguments", [(), ("--user", "u500", "--item", "i1000")])
def test_one_of_a_person_and_an_item_is_asked_for(slate: Any, arguments: tuple[str, ...]) -> None:
    ran = slate("features", "get", *arguments)
    assert ran.exit_code == 2
    assert "--user ID or --item ID" in ran.output
