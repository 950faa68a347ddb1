"""`slate why` and `slate replay` as a user calls them, about what a server answered over HTTP."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from cli.releases import replay, why
from contracts.errors import ArtefactError, WrongInput
from feature_store.online.event_stream import RECORD
from feature_store.online.keys import requests_key
from tests.integration.serving.test_replay import QUESTIONS, asked
from tests.integration.serving.worlds import Stage

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")


@pytest.fixture
def slate(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command of these two modules."""
    for module in (why, replay):
        monkeypatch.setattr(module, "load_settings", lambda: stage.settings)
    app = typer.Typer()
    app.callback()(lambda: None)
    why.add_to(app)
    replay.add_to(app)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def spoil_latest(stage: Stage) -> str:
    """Add the latest record once more, with other items than were answered; its request's id."""
    key = requests_key(stage.settings.app)
    [(_, fields)] = stage.redis.xrevrange(key, count=1)
    record = orjson.loads(fields[RECORD])
    record["answered"]["answer"] = "none"
    stage.redis.xadd(key, {RECORD: orjson.dumps(record)})
    return str(record["request"]["request_id"])


def test_why_tells_all_about_a_logged_request_and_that_it_is_as_logged(client: Any, stage: Stage, slate: Any) -> None:
    answered = asked(client, stage)[1]
    ran = slate("why", answered["request_id"])
    assert ran.exit_code == 0, ran.output
    assert f"request {answered['request_id']} of u501, home, k {len(answered['items'])}, at " in ran.stdout
    assert "the answer is as logged, byte for byte" in ran.stdout
    assert "placement home: every item may stand there; no rule held" in ran.stdout
    for item in answered["items"]:
        assert f"{item['position']}. {item['title']} ({item['item_id']}): score {item['score']:.4f}" in ran.stdout
    told = json.loads(slate("why", answered["request_id"], "--json").stdout)
    assert (told["is_as_logged"], told["arm"], told["rules"]["placement"]) == (True, "production", "home")
    assert [item["item_id"] for item in told["items"]] == [item["item_id"] for item in answered["items"]]


def test_why_says_so_where_the_log_has_another_answer(client: Any, stage: Stage, slate: Any) -> None:
    asked(client, stage)
    assert "the answer DIFFERS" in slate("why", spoil_latest(stage)).stdout


def test_why_asks_the_release_in_production_about_a_person_or_a_question(client: Any, stage: Stage, slate: Any) -> None:
    ran = slate("why", "--user", "u500", "-k", "3")
    assert ran.exit_code == 0, ran.output
    assert "request why of u500, home, k 3, at " in ran.stdout
    assert f"release {stage.pairs[0][0]}, generation {stage.pairs[0][1]}, arm production" in ran.stdout
    assert "as logged" not in ran.stdout
    beside = json.dumps({"user_id": "u502", "surface": "item", "item_id": "i1002"})
    assert "request why of u502, item, k 10, at " in slate("why", "--request", beside).stdout


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ((), WrongInput, "tells of one answer"),
        (("some-id", "--user", "u500"), WrongInput, "tells of one answer"),
        (("--request", '{"user": "u500"}'), WrongInput, "--request is no question: user "),
        (("never-asked",), ArtefactError, "holds no request 'never-asked'"),
    ],
)
def test_why_refuses_what_names_no_one_answer(
    client: Any, stage: Stage, slate: Any, arguments: tuple[str, ...], error: type[Exception], problem: str
) -> None:
    asked(client, stage)
    failure = slate("why", *arguments).exception
    assert isinstance(failure, error)
    assert problem in str(failure)


def test_replay_answers_the_latest_again_and_counts_outcomes(client: Any, stage: Stage, slate: Any) -> None:
    slates = asked(client, stage)
    ran = slate("replay", "--last", "3")
    assert ran.exit_code == 0, ran.output
    assert "3 requests answered again" in ran.stdout
    told = json.loads(slate("replay", "--json").stdout)
    assert (told["requests"], told["outcomes"]["same"]) == (len(QUESTIONS), len(QUESTIONS))
    assert json.loads(slate("replay", slates[0]["request_id"], "--json").stdout)["requests"] == 1


def test_replay_names_what_differs_and_exits_with_1(client: Any, stage: Stage, slate: Any) -> None:
    asked(client, stage)
    request_id = spoil_latest(stage)
    ran = slate("replay", "--last", "2")
    assert ran.exit_code == 1
    assert f"different: {request_id}; `slate why {request_id}` tells more" in ran.stdout
