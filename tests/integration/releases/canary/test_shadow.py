"""Recent requests answered by production and by a candidate; real bundles, real Redis, real MLflow."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.releases import shadow as shadow_command
from contracts.errors import ArtefactError, DataTooSmall, PromotionRefused
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import Preferences, RecommendRequest, Surface
from feature_store.online.connection import connect
from feature_store.online.keys import events_key, receipt_key, requests_key
from release.shadow.shadow_run import shadow_version
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio, register_bundle, variant

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]


def ask(studio: Studio, *requests: RecommendRequest) -> None:
    """What servers leave in the request log."""
    with closing(connect(studio.redis_url)) as client:
        for request in requests:
            record = {"ts": "2020-01-01T00:00:00+00:00", "arm": "production", "request": request.to_json()}
            client.xadd(requests_key(studio.app), {"record": json.dumps(record)})


def people(n_people: int) -> list[RecommendRequest]:
    return [RecommendRequest(f"q{number}", UserId(f"u{500 + number}"), k=8) for number in range(n_people)]


@pytest.fixture
def candidate(studio: Studio, base_bundle: Path, runs: Path, tmp_path: Path) -> int:
    """A version that trades relevance for diversity, and explores; version 1 is in production and does neither."""
    assert studio.promoter.promote(1, requester="ada").accepted
    diverse = ("rules.json", '"relevance_weight": 1.0', '"relevance_weight": 0.2')
    exploring = ("rules.json", '"exploration_share": 0.0', '"exploration_share": 0.9')
    changed = variant(base_bundle, tmp_path / "diverse", spoilt=diverse)
    explores = variant(changed, tmp_path / "explores", spoilt=exploring)
    return register_bundle(studio.home, explores, runs).number


def test_a_release_of_the_same_models_answers_the_same(studio: Studio) -> None:
    assert studio.promoter.promote(1, requester="ada").accepted
    ask(studio, *people(12))
    told = shadow_version(studio.promoter, 2, 200).to_json()
    assert (told["requests"], told["unanswerable"]) == (12, 0)
    assert told["all"] == {"overlap": 1, "rank_biased_overlap": 1, "kendall_tau": 1, "identical_share": 1}
    assert told["most_different"] == []
    assert (told["production"]["degraded"], told["candidate"]["degraded"]) == (0, 0)
    assert told["production"]["release_id"] != told["candidate"]["release_id"]


def test_another_way_to_arrange_shows_in_every_measure_and_in_the_worst_slates(studio: Studio, candidate: int) -> None:
    ask(studio, *people(12), RecommendRequest("q-new"))
    told = shadow_version(studio.promoter, candidate, 200).to_json()
    assert all(told["all"][name] < 1 for name in ("overlap", "rank_biased_overlap", "identical_share"))
    assert sum(tier["requests"] for tier in told["tiers"].values()) == 13
    assert {"personal", "popular"} <= told["tiers"].keys()
    likeness = [one["rank_biased_overlap"] for one in told["most_different"]]
    assert len(likeness) == 5
    assert likeness == sorted(likeness)
    assert 0 < told["candidate"]["p50_ms"] <= told["candidate"]["p95_ms"] <= told["candidate"]["p99_ms"]
    assert "Film" in told["most_different"][0]["production"][0]["title"]


def test_the_same_requests_are_answered_the_same_again_as_nothing_is_explored(studio: Studio, candidate: int) -> None:
    def asked_with(seed: int) -> list[str]:
        with closing(connect(studio.redis_url)) as client:
            client.delete(requests_key(studio.app))
        ask(studio, *(RecommendRequest(f"{seed}-{one.request_id}", one.user_id, seed=seed) for one in people(6)))
        pairs = shadow_version(studio.promoter, candidate, 200).pairs
        return [item.item_id for pair in pairs for item in pair.candidate.items]

    assert asked_with(1) == asked_with(2)


def test_the_latest_requests_are_replayed(studio: Studio, candidate: int) -> None:
    ask(studio, *people(12))
    pairs = shadow_version(studio.promoter, candidate, 3).pairs
    assert [pair.request.request_id for pair in pairs] == ["q9", "q10", "q11"]


def test_every_kind_of_request_is_asked_again_as_it_was(studio: Studio, candidate: int) -> None:
    asked = [
        RecommendRequest("a", session_id=SessionId("s1"), context={"gender": "F"}, seed=3),
        RecommendRequest("b", preferences=Preferences(("drama",), (ItemId("i1004"),)), k=3),
        RecommendRequest("c", UserId("u500"), surface=Surface.ITEM, item_id=ItemId("i1004")),
    ]
    ask(studio, *asked)
    assert [pair.request for pair in shadow_version(studio.promoter, candidate, 9).pairs] == asked


def test_a_request_about_an_item_that_a_release_does_not_know_is_told_apart(studio: Studio, candidate: int) -> None:
    ask(studio, RecommendRequest("a", surface=Surface.ITEM, item_id=ItemId("gone")), *people(2))
    report = shadow_version(studio.promoter, candidate, 9)
    assert (report.n_unanswerable, len(report.pairs)) == (1, 2)


def test_nothing_is_logged_as_shown_and_nothing_served_changes(studio: Studio, candidate: int) -> None:
    ask(studio, *people(2))
    pointer, entries = studio.pointer(), studio.journal()
    shadow_version(studio.promoter, candidate, 9)
    with closing(connect(studio.redis_url)) as client:
        assert not client.exists(events_key(studio.app))
        assert client.xlen(requests_key(studio.app)) == 2
        assert client.exists(receipt_key(studio.app, studio.registry.version(candidate).generation_id))
    assert (studio.pointer(), studio.journal()) == (pointer, entries)


def test_golden_queries_are_replayed_with_what_happened_in_their_sessions(studio: Studio, candidate: int) -> None:
    told = shadow_version(studio.promoter, candidate, 9, golden=True).to_json()
    assert told["requests"] == 9
    assert "session" in told["tiers"]


def test_an_empty_log_says_how_to_fill_it(studio: Studio, candidate: int) -> None:
    with pytest.raises(DataTooSmall, match="--golden"):
        shadow_version(studio.promoter, candidate, 9)


def test_without_production_there_is_nothing_to_compare_with(studio: Studio) -> None:
    with pytest.raises(PromotionRefused, match="Nothing is in production"):
        shadow_version(studio.promoter, 2, 9)


@pytest.mark.parametrize("record", ["7", "{}", '{"request": {"request_id": "a", "preferences": {}}}', "\xff"])
def test_a_record_of_another_kind_is_an_error_of_ours(studio: Studio, candidate: int, record: str) -> None:
    with closing(connect(studio.redis_url)) as client:
        client.xadd(requests_key(studio.app), {"record": record})
    with pytest.raises(ArtefactError, match="request log"):
        shadow_version(studio.promoter, candidate, 9)


def test_it_is_printed_in_words_and_as_json(studio: Studio, candidate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    ask(studio, *people(6))
    app = typer.Typer()
    shadow_command.add_to(app)
    figures = json.loads(CliRunner().invoke(app, [str(candidate), "--requests", "4", "--json"]).stdout)
    text = CliRunner().invoke(app, [str(candidate), "--requests", "4"]).stdout
    assert text.startswith("4 requests answered by both")
    assert 0 < text.count("RBO 0.") == len(figures["most_different"])
    assert json.loads(CliRunner().invoke(app, [str(candidate), "--golden", "--json"]).stdout)["requests"] == 9
