"""Who is answered by which release: production, a canary for some people, Staging for who asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feature_store.online.keys import canary_key, requests_key
from serving.wire import Readiness
from tests.integration.serving.worlds import Stage, ask, wait_until
from tests.logged import logged_records

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

ASK_STAGING = {"X-Slate-Stage": "staging"}
PEOPLE = [str(number) for number in range(40)]


def ready(client: Any) -> dict[str, Any]:
    content: dict[str, Any] = client.get("/readyz").json()
    Readiness.model_validate(content)
    return content


def beside(client: Any, arm: str) -> dict[str, Any]:
    """What /readyz says of the canary or of what is staged; nothing of anything where there is none."""
    return ready(client)[arm] or dict.fromkeys(("ready", "problem", "share"))


def named(slate: dict[str, Any]) -> tuple[str, tuple[str, str]]:
    return slate["arm"], (slate["release_id"], slate["generation_id"])


@pytest.fixture
def open_stage(stage: Stage) -> Stage:
    """The same application, where Staging may be asked for."""
    stage.point_at(0)
    return stage.with_serving(staging_header=True)


def test_a_share_of_people_gets_the_canary_by_user_or_else_by_session_and_nobody_known_production(
    client: Any, stage: Stage
) -> None:
    canary = stage.try_out(1, share=0.5)
    wait_until(lambda: beside(client, "canary")["ready"])
    expected = {True: ("canary", stage.pairs[1]), False: ("production", stage.pairs[0])}
    for person in PEOPLE:
        assert named(ask(client, user_id=person)) == expected[canary.takes(person)]
        assert named(ask(client, session_id=person)) == expected[canary.takes(person)]
        assert named(ask(client, user_id=person, session_id="another")) == expected[canary.takes(person)]
    assert named(ask(client)) == expected[False]
    assert {canary.takes(person) for person in PEOPLE} == {True, False}


def test_the_share_changes_and_the_canary_ends_without_a_restart(client: Any, stage: Stage) -> None:
    canary = stage.try_out(1, share=0.0)
    wait_until(lambda: beside(client, "canary")["ready"])
    assert {ask(client, user_id=person)["arm"] for person in PEOPLE} == {"production"}
    stage.try_out(1, share=1.0)
    wait_until(lambda: beside(client, "canary")["share"] == 1.0)
    assert {ask(client, user_id=person)["arm"] for person in PEOPLE} == {"canary"}
    stage.redis.delete(canary_key(stage.settings.app))
    wait_until(lambda: ready(client)["canary"] is None)
    assert {ask(client, user_id=person)["arm"] for person in PEOPLE} == {"production"}
    assert canary.share == 0.0


def test_every_impression_question_and_metric_says_which_arm_answered(stage: Stage) -> None:
    stage.point_at(0)
    stage.try_out(1, share=1.0)
    with stage.client() as client:
        wait_until(lambda: beside(client, "canary")["ready"])
        ask(client, user_id="u500", k=2)
        ask(client, k=1)
        metrics = client.get("/metrics").text
    records = logged_records(stage.redis, stage.settings.app)
    assert [(record["arm"], record["release_id"]) for record in records] == [
        ("canary", stage.pairs[1][0]),
        ("canary", stage.pairs[1][0]),
        ("production", stage.pairs[0][0]),
    ]
    questions = [json.loads(fields[b"record"]) for _, fields in stage.redis.xrange(requests_key(stage.settings.app))]
    assert [(question["arm"], question["request"]["user_id"]) for question in questions] == [
        ("canary", "u500"),
        ("production", None),
    ]
    release_id, generation_id = stage.pairs[1]
    for line in (
        f'slate_release_info{{arm="canary",generation_id="{generation_id}",release_id="{release_id}"}} 1.0',
        'slate_slates_total{arm="canary",tier="personal"} 1.0',
        "slate_canary_share 1.0",
    ):
        assert line in metrics


def test_a_canary_that_cannot_be_loaded_leaves_everybody_production_and_is_named(client: Any, stage: Stage) -> None:
    damaged = next((stage.home.bundles / stage.pairs[1][0] / "ranking").glob("*.txt"))
    damaged.write_bytes(damaged.read_bytes() + b" ")
    stage.try_out(1, share=1.0)
    wait_until(lambda: beside(client, "canary")["problem"] is not None)
    assert ready(client)["canary"]["problem"]["error"] == "ReleaseMismatch"
    assert not beside(client, "canary")["ready"]
    assert ready(client)["problem"] is None
    assert named(ask(client, user_id="u500")) == ("production", stage.pairs[0])
    assert 'slate_problem{arm="canary"} 1.0' in client.get("/metrics").text


def test_staging_answers_who_asks_for_it_and_nobody_else(open_stage: Stage) -> None:
    open_stage.put_in_staging(1)
    with open_stage.client() as client:
        wait_until(lambda: beside(client, "staged")["ready"])
        assert named(ask(client, ASK_STAGING, user_id="u500")) == ("staging", open_stage.pairs[1])
        assert named(ask(client, user_id="u500")) == ("production", open_stage.pairs[0])
        assert named(ask(client, ASK_STAGING)) == ("staging", open_stage.pairs[1])


def test_who_asks_for_staging_where_it_is_off_is_told_how_to_turn_it_on(client: Any) -> None:
    answer = client.post("/v1/recommend", json={}, headers=ASK_STAGING)
    assert (answer.status_code, answer.json()["error"]) == (403, "StagingNotServed")
    assert "serving.staging_header" in answer.json()["next_step"]


def test_who_asks_for_staging_when_nothing_stands_there_is_told_how_to_put_it_there(open_stage: Stage) -> None:
    with open_stage.client() as client:
        answer = client.post("/v1/recommend", json={}, headers=ASK_STAGING)
    assert (answer.status_code, answer.json()["error"]) == (409, "NothingStaged")
    assert "slate promote" in answer.json()["next_step"]


def test_a_staged_release_that_cannot_be_loaded_is_an_error_for_who_asks_for_it_alone(open_stage: Stage) -> None:
    damaged = next((open_stage.home.bundles / open_stage.pairs[1][0] / "ranking").glob("*.txt"))
    damaged.write_bytes(damaged.read_bytes() + b" ")
    open_stage.put_in_staging(1)
    with open_stage.client() as client:
        wait_until(lambda: beside(client, "staged")["problem"] is not None)
        answer = client.post("/v1/recommend", json={}, headers=ASK_STAGING)
        assert (answer.status_code, answer.json()["error"]) == (503, "ReleaseMismatch")
        assert named(ask(client)) == ("production", open_stage.pairs[0])


def test_another_stage_than_staging_is_wrong_input(client: Any) -> None:
    answer = client.post("/v1/recommend", json={}, headers={"X-Slate-Stage": "dress rehearsal"})
    assert (answer.status_code, answer.json()["error"]) == (422, "WrongInput")
