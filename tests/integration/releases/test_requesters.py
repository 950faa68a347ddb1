"""Who may promote: on a real MLflow, from the UI with a token, from the command line, and never against a rollback."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.clock import FixedClock
from release.journal.entries import Action
from release.journal.journal import Journal
from release.promotion.promotion import Promoter
from release.promotion.requesters import TOKEN_HOLDS, UNKNOWN_TOKEN, hashed_token
from release.promotion.rollback import roll_back
from release.registry.state import Stage
from tests.killed import Killed
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
TOKEN = "correct horse battery staple"
ADA = hashed_token(TOKEN)
PRODUCTION = Stage.PRODUCTION


@pytest.fixture
def guarded(studio: Studio) -> Studio:
    """The studio where ada alone may promote, by her user or her token."""
    promotion = studio.settings.promotion.model_copy(update={"allowed_requesters": ["cli:ada", ADA]})
    return replace(studio, settings=studio.settings.model_copy(update={"promotion": promotion}))


def show(studio: Studio, version: int, token: str) -> None:
    """What somebody does in the MLflow UI."""
    with studio.registry.connection.speaking() as client:
        client.set_model_version_tag(studio.app, str(version), "slate.token", token)


def tags(studio: Studio, version: int) -> dict[str, str]:
    """What MLflow shows, ours or not."""
    with studio.registry.connection.speaking() as client:
        return dict(client.get_model_version(studio.app, str(version)).tags)


def decide(studio: Studio) -> tuple[bool, str, str]:
    (decision,) = studio.promoter.sync().decisions
    return decision.accepted, decision.requester, decision.reason


def everything_written(studio: Studio) -> str:
    versions = [version.to_json() for version in studio.registry.versions()]
    return repr([*map(repr, studio.registry.versions()), versions, [entry.to_json() for entry in studio.entries()]])


def test_a_request_without_a_token_is_refused_with_the_reason_and_put_back(guarded: Studio) -> None:
    guarded.set_stage(1, PRODUCTION)
    accepted, requester, reason = decide(guarded)
    assert (accepted, requester, guarded.pointer()) == (False, "mlflow", None)
    assert "set the tag `slate.token`" in reason
    assert "slate.token" in guarded.registry.version(1).tags["slate.decision.reason"]
    assert guarded.stages()[1] == "None"


@pytest.mark.parametrize("seen_first", [True, False], ids=["a sync came between", "in one look"])
def test_a_token_on_the_version_is_who_asks_and_is_taken_away(guarded: Studio, seen_first: bool) -> None:
    show(guarded, 1, TOKEN)
    if seen_first:
        assert guarded.promoter.sync().decisions == ()
        assert "slate.token" not in tags(guarded, 1)
    guarded.set_stage(1, PRODUCTION)
    assert decide(guarded)[:2] == (True, ADA)
    assert "slate.token" not in tags(guarded, 1)
    assert {entry.requester for entry in guarded.entries(Action.PROMOTE)} == {ADA}
    assert TOKEN not in everything_written(guarded)


def test_a_wrong_token_is_refused_taken_away_and_not_even_its_hash_is_kept(guarded: Studio) -> None:
    show(guarded, 1, "password123")
    guarded.set_stage(1, PRODUCTION)
    assert decide(guarded) == (
        False, UNKNOWN_TOKEN, "The token is not on the list (promotion.allowed_requesters in params.yaml).",
    )  # fmt: skip
    assert "slate.token" not in tags(guarded, 1)
    assert "password123" not in everything_written(guarded)
    assert hashed_token("password123") not in everything_written(guarded)


def test_a_token_is_good_for_one_request(guarded: Studio) -> None:
    show(guarded, 3, TOKEN)
    guarded.set_stage(3, Stage.STAGING)
    assert decide(guarded)[0]
    guarded.set_stage(3, PRODUCTION)
    assert decide(guarded)[:2] == (False, "mlflow")


def test_a_token_that_was_left_behind_is_worth_nothing_after_a_while(guarded: Studio) -> None:
    moment = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def promoter(later: timedelta) -> Promoter:
        return Promoter.open(guarded.settings, guarded.home, FixedClock(moment + later))

    show(guarded, 1, TOKEN)
    promoter(timedelta()).sync()
    guarded.set_stage(1, PRODUCTION)
    (decision,) = promoter(TOKEN_HOLDS + timedelta(seconds=1)).sync().decisions
    assert (decision.accepted, decision.requester) == (False, "mlflow")


def test_killed_before_the_token_was_taken_away_it_is_taken_by_the_next_sync(
    guarded: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    show(guarded, 1, TOKEN)
    guarded.set_stage(1, PRODUCTION)
    with monkeypatch.context() as killing:
        killing.setattr("release.registry.registry.Registry.take_token", die)
        with pytest.raises(Killed):
            guarded.promoter.sync()
    assert decide(guarded)[:2] == (True, ADA)
    assert "slate.token" not in tags(guarded, 1)


def test_without_a_list_a_token_is_taken_away_all_the_same_and_everybody_may(studio: Studio) -> None:
    show(studio, 1, TOKEN)
    studio.set_stage(1, PRODUCTION)
    assert decide(studio)[:2] == (True, UNKNOWN_TOKEN)
    assert "slate.token" not in tags(studio, 1)


@pytest.mark.parametrize(("requester", "accepted"), [("cli:ada", True), ("cli:bob", False)])
def test_the_command_line_is_held_to_the_same_list(guarded: Studio, requester: str, accepted: bool) -> None:
    decision = guarded.promoter.promote(1, requester=requester)
    assert decision.accepted is accepted
    assert (requester in decision.reason) is not accepted


def test_a_training_stages_its_release_and_anybody_on_call_rolls_back(guarded: Studio) -> None:
    for number in (1, 2):
        assert guarded.promoter.promote(number, requester="cli:ada").accepted
    assert guarded.promoter.after_training(5).accepted
    done = roll_back(guarded.settings, guarded.home, Journal(guarded.home, guarded.app), requester="cli:bob")
    assert done.version == 1
    assert {entry.requester for entry in guarded.entries(Action.ROLLBACK)} == {"cli:bob"}
