"""The HTTP API over a real release and a real Redis."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.filters import filter_of
from contracts.ids import UserId
from contracts.slates import RecommendRequest
from feature_store.online.keys import events_key, recent_key, requests_key, session_key
from feature_store.readers.online_reader import RedisFeatureReader
from release.answering.request_query import read_person
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from serving.wire import EventBatch, EventsAnswer, Health, Question, Readiness, SentEvent
from tests.integration.serving.worlds import Stage, ask
from tests.logged import logged_records

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

CHECKOUT = Path(__file__).resolve().parents[3]
GUEST = {"session_id": "visit-1"}
RECENT = {"field": "release_year", "operator": "at_least", "value": 2000}


def click(client: Any, item_id: str, **event: Any) -> dict[str, Any]:
    answer = client.post("/v1/events", json={"event_type": "click", "item_id": item_id, **(event or GUEST)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def shown(slate: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in slate["items"]]


def test_a_person_with_a_history_is_answered_personally_by_the_release_in_production(client: Any, stage: Stage) -> None:
    slate = ask(client, user_id="u500", k=5, explain=True)
    assert slate["tier"] == "personal"
    assert (slate["release_id"], slate["generation_id"]) == stage.pairs[0]
    assert slate["degraded"] == []
    assert [item["position"] for item in slate["items"]] == [1, 2, 3, 4, 5]
    assert all(item["reasons"] for item in slate["items"])
    assert slate["timings_ms"]


@pytest.mark.parametrize(
    ("question", "tier"),
    [
        ({}, "popular"),
        ({"user_id": "nobody"}, "popular"),
        ({"user_id": "nobody", "context": {"gender": "F"}}, "contextual"),
        ({"preferences": {"categories": ["drama"]}}, "onboarded"),
        ({"preferences": {"item_ids": ["i1002"]}}, "onboarded"),
    ],
)
def test_a_newcomer_is_answered_by_what_they_said(client: Any, question: dict[str, Any], tier: str) -> None:
    slate = ask(client, **question)
    assert slate["tier"] == tier
    assert len(slate["items"]) == 10


def test_a_click_counts_at_the_next_request(client: Any) -> None:
    before = ask(client, **GUEST)
    clicked = shown(before)[0]
    taken = click(client, clicked)
    EventsAnswer.model_validate(taken)
    assert (taken["accepted"], taken["duplicates"], taken["degraded"], taken["unknown_items"]) == (1, 0, [], [])
    after = ask(client, **GUEST)
    assert (before["tier"], after["tier"]) == ("popular", "session")
    assert clicked not in shown(after)


def test_an_item_shown_or_a_signup_moves_nobody_up(client: Any) -> None:
    assert client.post("/v1/events", json={"event_type": "signup", **GUEST}).status_code == 202
    assert ask(client, **GUEST)["tier"] == "popular"


def test_a_signup_that_names_an_item_is_taken_and_wanted_nothing(client: Any, stage: Stage) -> None:
    told = {"event_type": "signup", "item_id": "i1004", "user_id": "newly here", **GUEST}
    answer = client.post("/v1/events", json=told)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert stage.redis.keys("*newly here*") == []
    assert ask(client, **GUEST)["tier"] == "popular"


@pytest.mark.parametrize(("ahead", "status"), [(timedelta(minutes=4), 202), (timedelta(minutes=7), 422)])
def test_a_clock_may_run_ahead_by_minutes(client: Any, stage: Stage, ahead: timedelta, status: int) -> None:
    stamped = {"item_id": "i1004", "event_ts": (stage.as_of + ahead).isoformat(), **GUEST}
    assert client.post("/v1/events", json={"event_type": "click", **stamped}).status_code == status


def test_beside_an_item_others_are_shown(client: Any) -> None:
    assert "i1004" not in shown(ask(client, surface="item", item_id="i1004"))


def test_at_a_placement_its_filter_its_rules_and_its_length_hold(client: Any) -> None:
    at_cart = {"placement": "cart", "user_id": "u500"}
    lively, calm = (ask(client, **at_cart, context=context, k=5) for context in ({}, {"mood": "calm"}))
    assert (lively["placement"], lively["rules"]) == ("cart", ["hero", "mixed"])
    assert calm["rules"] == ["calm", "hero", "mixed"]
    assert "hero" in lively["items"][1]["rules"]
    assert lively["items"][1]["title"].endswith("(drama)")
    assert {item["title"].split()[-1] for item in calm["items"]} == {"(drama)"}
    assert [len(ask(client, **at_cart, **length)["items"]) for length in ({}, {"k": 6})] == [6, 6]


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ({"placement": "cart", "k": 7}, "`k` is larger than 6."),
        ({"placement": "crat"}, "no placement 'crat'"),
        ({"placement": "cart", "item_id": "i1004"}, "Placement cart stands beside no item"),
    ],
)
def test_what_a_placement_does_not_take_is_refused(client: Any, question: dict[str, Any], problem: str) -> None:
    answer = client.post("/v1/recommend", json=question)
    assert answer.status_code == 422
    assert problem in answer.text


def test_every_item_shown_and_everything_done_is_logged(stage: Stage) -> None:
    stage.point_at(0)
    with stage.client() as client:
        slate = ask(client, user_id="u500", k=3)
        click(client, "i1004", user_id="u500", request_id=slate["request_id"])
    entries = logged_records(stage.redis, stage.settings.app)
    impressions, events = entries[:3], entries[3:]
    for record, item in zip(impressions, slate["items"], strict=True):
        assert record["event_type"] == "impression"
        assert {name: record[name] for name in ("item_id", "position", "propensity")} == {
            name: item[name] for name in ("item_id", "position", "propensity")
        }
        for name in ("request_id", "release_id", "generation_id", "arm", "policy_id", "tier"):
            assert record[name] == slate[name]
    assert [(event["event_type"], event["item_id"], event["request_id"]) for event in events] == [
        ("click", "i1004", slate["request_id"])
    ]
    # The release's clock, not the wall's: old data lives in its own time.
    assert {record["event_ts"][:10] for record in entries} == {stage.as_of.date().isoformat()}


def test_every_item_satisfies_the_filter_and_what_was_asked_is_logged(stage: Stage) -> None:
    stage.point_at(0)
    known = load_bundle(BundleStore(stage.home).path(stage.pairs[0][0])).catalogue
    with stage.client() as client:
        unfiltered, slate = ask(client, user_id="u500", k=5), ask(client, user_id="u500", k=5, filter=RECENT)
    years = known.release_year[known.ids.indices(shown(slate))]
    assert len(years) == 5
    assert (years >= 2000).all()
    assert shown(slate) != shown(unfiltered)
    name = stage.settings.app
    records = logged_records(stage.redis, name)
    assert {record.get("filter") for record in records[:5]} == {None}
    assert {json.loads(record["filter"])["field"] for record in records[5:]} == {"release_year"}
    questions = [json.loads(fields[b"record"])["request"] for _, fields in stage.redis.xrange(requests_key(name))]
    assert [RecommendRequest.from_json(question).filter for question in questions] == [None, filter_of(RECENT)]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/recommend", {"surface": "item", "item_id": "i9"}, 422, "'i9'"),
        ("/v1/recommend", {"preferences": {"item_ids": ["i9"]}}, 422, "'i9'"),
        ("/v1/recommend", {"preferences": {"categories": ["dramma"]}}, 422, "Did you mean 'drama'?"),
        ("/v1/recommend", {"k": 101}, 422, "at most 100"),
        ("/v1/recommend", {"k": 0}, 422, "`k` is 0"),
        ("/v1/recommend", {"usr": "u500"}, 422, "`usr` is unknown"),
        ("/v1/recommend", {"filter": {"all": [3]}}, 422, "`filter`: filter.all[0] is 3; expected a condition"),
        (
            "/v1/recommend",
            {"filter": RECENT | {"field": "price"}},
            422,
            "Its fields are categories (text), release_year",
        ),
        ("/v1/recommend", {"filter": RECENT | {"field": "in_stock"}}, 422, "in_stock is true or false"),
        ("/v1/events", {"event_type": "stare", "session_id": "s", "item_id": "i1000"}, 422, "'stare'"),
        ("/v1/events", {"event_type": "click", "session_id": "s"}, 422, "needs the `item_id`"),
        (
            "/v1/events",
            {"event_type": "click", "session_id": "s", "item_id": "i1000", "event_ts": "2999-01-01T00:00:00Z"},
            422,
            "later than the server's now",
        ),
        ("/v2/recommend", {}, 404, "There is no POST /v2/recommend"),
        ("/healthz", {}, 405, "Use GET"),
    ],
)
def test_a_bad_request_is_told_what_to_send(client: Any, path: str, body: Any, status: int, said: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    error = answer.json()
    assert set(error) == {"error", "message", "next_step"}
    assert said in f"{error['message']} {error['next_step']}"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"k": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"k": NaN}', "application/json", 422),
        (b'{"\\ud800": 1, "user_id": "\\ud800"}', "application/json", 422),
        (b"k=1", "application/x-www-form-urlencoded", 415),
        (b"x" * 300_000, "application/json", 413),
    ],
)
def test_a_body_that_is_no_question_is_refused(client: Any, body: bytes, content_type: str, status: int) -> None:
    answer = client.post("/v1/recommend", content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "next_step"}


def test_a_body_without_its_length_is_cut_off_at_the_limit(client: Any) -> None:
    endless = (b"x" * 1000 for _ in range(1000))
    answer = client.post("/v1/events", content=endless, headers={"content-type": "application/json"})
    assert answer.status_code == 413


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ALMOST_A_QUESTION = st.fixed_dictionaries(
    {},
    optional={
        "user_id": ANY_JSON | st.just("u500"),
        "session_id": ANY_JSON | st.text(min_size=1, max_size=256),
        "surface": ANY_JSON | st.sampled_from(["home", "item"]),
        "item_id": ANY_JSON | st.just("i1000"),
        "preferences": ANY_JSON | st.fixed_dictionaries({"categories": st.just(["drama"]) | ANY_JSON}),
        "context": ANY_JSON | st.dictionaries(st.text(min_size=1, max_size=64), st.text(max_size=256), max_size=17),
        "k": ANY_JSON | st.integers(-1, 600),
        "explain": ANY_JSON,
    },
)
ALMOST_AN_EVENT = st.fixed_dictionaries(
    {},
    optional={
        "event_type": ANY_JSON | st.sampled_from(["click", "rating", "signup", "impression"]),
        "user_id": ANY_JSON | st.just("u500"),
        "session_id": ANY_JSON | st.text(min_size=1, max_size=256),
        "item_id": ANY_JSON | st.just("i1000"),
        "event_ts": ANY_JSON | st.datetimes().map(lambda moment: moment.isoformat() + "+00:00"),
        "value": ANY_JSON | st.floats(),
        "request_id": ANY_JSON,
    },
)


# The function-scoped client is shared by the examples on purpose: what one leaves behind is the next one's weather.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_JSON | ALMOST_A_QUESTION)
def test_no_question_whatever_is_answered_by_a_5xx(client: Any, body: Any) -> None:
    assert_answered(client, "/v1/recommend", body)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_JSON | ALMOST_AN_EVENT | st.fixed_dictionaries({"events": ANY_JSON | st.lists(ALMOST_AN_EVENT, max_size=3)}))
def test_no_event_whatever_is_answered_by_a_5xx(client: Any, body: Any) -> None:
    assert_answered(client, "/v1/events", body)


def assert_answered(client: Any, path: str, body: Any) -> None:
    # Python's json on purpose: unlike the client's own it sends NaN and half a surrogate pair.
    content = json.dumps(body).encode()
    answer = client.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert all(answer.json()[name] for name in ("error", "message", "next_step"))


def test_probes_and_metrics_say_what_is_served(client: Any, stage: Stage) -> None:
    Health.model_validate(client.get("/healthz").json())
    ready = client.get("/readyz")
    assert ready.status_code == 200
    Readiness.model_validate(ready.json())
    assert (ready.json()["release_id"], ready.json()["generation_id"]) == stage.pairs[0]
    ask(client)
    metrics = client.get("/metrics").text
    release_id, generation_id = stage.pairs[0]
    for line in (
        f'slate_release_info{{arm="production",generation_id="{generation_id}",release_id="{release_id}"}} 1.0',
        'slate_slates_total{arm="production",tier="popular"} 1.0',
        'slate_request_seconds_count{route="/v1/recommend",status="200"} 1.0',
        "slate_pointer_epoch 1.0",
    ):
        assert line in metrics


def test_the_documentation_names_every_route_with_examples(client: Any) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/v1/recommend", "/v1/events", "/healthz", "/readyz", "/metrics"}
    for name in ("Question", "SentEvent", "EventBatch"):
        assert schema["components"]["schemas"][name]["examples"]
    asking = schema["paths"]["/v1/recommend"]["post"]
    assert asking["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Question")
    answers = {"200", "400", "403", "408", "409", "413", "415", "422", "429", "503"}
    assert set(asking["responses"]) == answers
    assert set(schema["paths"]["/v1/events"]["post"]["responses"]) == answers - {"200", "403", "409", "429"} | {"202"}


def test_the_documentation_needs_no_other_host(client: Any) -> None:
    page = client.get("/docs").text
    needed = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(needed) == 3
    for path in needed:
        assert path.startswith("/docs/assets/")
        assert client.get(path).status_code == 200
    assert "https:" not in page


def test_what_is_vendored_is_what_the_notice_says() -> None:
    listed = re.findall(r"^    ([0-9a-f]{64})  (\S+)$", (CHECKOUT / "NOTICE").read_text(), re.MULTILINE)
    folder = CHECKOUT / "serving" / "http" / "swagger_ui"
    assert {CHECKOUT / name for _, name in listed} == set(folder.iterdir())
    for digest, name in listed:
        assert hashlib.sha256((CHECKOUT / name).read_bytes()).hexdigest() == digest


def test_the_first_page_says_what_is_served_and_where_the_rest_is(
    client: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:s3cret@127.0.0.1:5000")
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    page = client.get("/").text
    for named in (*stage.pairs[0], 'href="/docs"', 'href="http://ada:***@127.0.0.1:5000"', "Airflow: training"):
        assert named in page
    assert "s3cret" not in page
    assert f"<h1>{stage.settings.app}</h1>" in page


def test_every_example_of_the_documentation_is_valid() -> None:
    for model in (Question, SentEvent, EventBatch):
        for example in model.model_config["json_schema_extra"]["examples"]:
            model.model_validate(example)


def counts_used(stage: Stage, user_id: str) -> dict[str, float]:
    """The counts and days that the request path hands its ranker for this person, a minute after publishing."""
    release_id, generation_id = stage.pairs[0]
    release = load_bundle(BundleStore(stage.home).path(release_id))
    reader = RedisFeatureReader(stage.redis, stage.settings.app, generation_id, release.schemas, release.catalogue.ids)
    request = RecommendRequest("q", user_id=UserId(user_id))
    row = read_person(release, reader, request, stage.as_of + timedelta(minutes=1)).features
    values = dict(zip(release.schemas.user.names, row.values[0].tolist(), strict=True))
    return {name: values[name] for name in ("user_event_count_1d", "user_event_count_total")}


def test_clicks_of_a_known_person_without_a_session_count_at_the_next_request(client: Any, stage: Stage) -> None:
    before, counts = ask(client, user_id="u500"), counts_used(stage, "u500")
    clicked = shown(before)[:2]
    for item_id in clicked:
        click(client, item_id, user_id="u500")
    after = ask(client, user_id="u500")
    assert not set(clicked) & set(shown(after))
    assert counts_used(stage, "u500") == {name: count + 2 for name, count in counts.items()}


def test_a_purchase_counts_at_the_next_request_and_no_more_once_it_is_brought_back(client: Any, stage: Stage) -> None:
    counts, item_id = counts_used(stage, "u500"), shown(ask(client, user_id="u500"))[0]
    told = {"item_id": item_id, "user_id": "u500"}
    assert client.post("/v1/events", json={"event_type": "purchase", **told}).status_code == 202
    assert counts_used(stage, "u500") == {name: count + 1 for name, count in counts.items()}
    assert client.post("/v1/events", json={"event_type": "return", **told}).status_code == 202
    assert counts_used(stage, "u500") == counts
    assert item_id not in shown(ask(client, user_id="u500"))


def test_a_session_and_a_person_are_remembered_each_as_long_as_the_settings_say(stage: Stage) -> None:
    stage = stage.with_serving(session_length=2, session_ttl_minutes=3, recent_length=4, recent_ttl_hours=5)
    stage.point_at(0)
    app, redis = stage.settings.app, stage.redis
    session, recent = session_key(app, "visit-1"), recent_key(app, "u500")
    batch = [
        {"event_type": "click", "item_id": item_id, "user_id": "u500", **GUEST}
        for item_id in ("i1000", "i1001", "i1002", "i1003", "i1004")
    ]
    with stage.client() as client:
        assert client.post("/v1/events", json={"events": batch}).status_code == 202
    assert (redis.llen(session), redis.llen(recent)) == (2, 4)
    assert 2 * 60 < redis.ttl(session) <= 3 * 60
    assert 4 * 3600 < redis.ttl(recent) <= 5 * 3600


def test_an_event_of_an_item_that_no_release_knows_is_taken_logged_counted_and_named(stage: Stage) -> None:
    stage.point_at(0)
    with stage.client() as client:
        batch = [{"event_type": "click", "item_id": item_id, **GUEST} for item_id in ("i9", "i1004", "i9")]
        answer = client.post("/v1/events", json={"events": batch})
        assert (answer.status_code, answer.json()["accepted"], answer.json()["unknown_items"]) == (202, 3, ["i9"])
        assert "slate_events_of_unknown_items_total 2.0" in client.get("/metrics").text
        assert ask(client, **GUEST)["tier"] == "session"
    logged = stage.redis.xrange(events_key(stage.settings.app))
    clicks = [json.loads(fields[b"record"]) for _, fields in logged if b'"click"' in fields[b"record"]]
    assert [record["item_id"] for record in clicks] == ["i9", "i1004", "i9"]
