"""`slate preview` shows a placement's slate as a person would see it, and where items stand with a rule left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import preview
from cli.main import command_line
from contracts.clock import FixedClock
from contracts.errors import WrongInput
from contracts.home import Home
from contracts.slates import RecommendRequest
from release.answering.request_path import answer
from serving import command_line_answer
from tests.placed_releases import with_placements
from tests.unit.release.made_up_release import NOW, made_up_reader, made_up_release

HOUSE = {"promote": '"drama" in categories && release_year >= 1990', "share": 0.4}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RecommendRequest]:
    """The requests that were answered, by a release with the placement `cart`."""
    requests: list[RecommendRequest] = []
    release = with_placements(made_up_release(), {"cart": {"rules": {"house": HOUSE}}})

    def answer_each(_home: Any, _settings: Any, wanted: list[RecommendRequest]) -> Any:
        requests.extend(wanted)
        return [answer(release, made_up_reader(), FixedClock(NOW), request) for request in wanted]

    monkeypatch.setattr(preview, "find_home", lambda: Home(tmp_path))
    monkeypatch.setattr(command_line_answer, "answer_each", answer_each)
    return requests


def printed(*words: str) -> str:
    return CliRunner().invoke(command_line(), ["preview", *words], catch_exceptions=False).output


def test_it_shows_which_rules_hold_and_what_each_put_there(asked: list[RecommendRequest]) -> None:
    lines = printed("--placement", "cart", "--user", "u9", "--context", "mood=calm", "-k", "5").splitlines()
    assert asked == [RecommendRequest("preview", user_id="u9", context={"mood": "calm"}, k=5, seed=7, placement="cart")]
    assert lines[-6].split() == ["#", "title", "score", "source", "rules"]
    assert [line.split()[0] for line in lines[-5:] if line.endswith("house")] == ["3", "5"]
    assert "rules that hold: house" in lines[-7]


def test_without_a_rule_it_shows_where_the_items_stood_with_it(asked: list[RecommendRequest]) -> None:
    lines = printed("--placement", "cart", "-k", "5", "--without", "house").splitlines()
    assert [request.without_rules for request in asked] == [(), ("house",)]
    assert [line.split()[1] for line in lines[-5:]] == ["1", "2", "4", "-", "-"]


def test_as_json_it_gives_both_slates(asked: list[RecommendRequest]) -> None:
    slates = json.loads(printed("--placement", "cart", "-k", "5", "--without", "house", "--json"))
    assert [slate["rules"] for slate in slates] == [["house"], []]


def test_what_is_told_has_a_name_and_a_value(asked: list[RecommendRequest]) -> None:
    with pytest.raises(WrongInput, match="--context 'calm' names nothing"):
        printed("--context", "calm")
