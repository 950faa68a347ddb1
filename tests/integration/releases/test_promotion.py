"""Requests made in MLflow, decided, carried out and written back; real MLflow, real Redis.

The traps of MLflow's registry are in test_mlflow_traps.py.

Versions 1, 2 and 5 are as good as each other, 3 is much worse, 4 was built from uncommitted source.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import FixedClock
from contracts.errors import RegistryUnavailable, StoreUnavailable
from feature_store.online.connection import connect
from feature_store.online.keys import items_key, users_key
from feature_store.online.pointer import move_pointer
from feature_store.publishing.completeness import missing_values
from release.gates.gate import Gate
from release.gates.release_candidate import ReleaseCandidate
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.promotion import decider
from release.promotion.decision import Decision
from release.promotion.promotion import Promoter
from release.promotion.rollback import roll_back
from release.registry.registry import Registry
from release.registry.requests import PromotionRequest
from release.registry.state import Stage
from tests.killed import Killed, KillingJournal
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio, record, register_bundle, variant

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
PRODUCTION, STAGING, ARCHIVED, NONE = Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED, Stage.NONE


def sync(studio: Studio) -> list[tuple[int, str]]:
    """One sync, as (version, verdict) of each decision."""
    return [(decision.version, decision.verdict) for decision in studio.promoter.sync().decisions]


def put_in_production(studio: Studio, *versions: int) -> None:
    for version in versions:
        studio.set_stage(version, PRODUCTION)
        assert sync(studio) == [(version, "accepted")]


def says_truth(studio: Studio, production: int) -> bool:
    """MLflow shows the version that is served in Production, by stage and alias, and no other."""
    in_production = [version for version, stage in studio.stages().items() if stage == PRODUCTION]
    resolved = studio.registry.resolved(PRODUCTION)
    return (studio.served(), in_production, studio.aliases()["production"], resolved) == (
        production,
        [production],
        production,
        production,
    )


def test_the_first_version_set_to_production_is_served(studio: Studio) -> None:
    studio.set_stage(1, PRODUCTION)
    assert sync(studio) == [(1, "accepted")]
    assert says_truth(studio, 1)
    version = studio.registry.version(1)
    assert studio.pointer().generation_id == version.generation_id
    assert version.tags["slate.decision"] == "accepted"
    assert version.description.startswith(f"Release {version.release_id}")
    assert "**Decision** accepted for Production" in version.description


def test_the_journal_tells_before_and_after(studio: Studio) -> None:
    put_in_production(studio, 1)
    assert studio.journal() == [
        (Action.PROMOTE, Phase.INTENT, 1),
        (Action.PROMOTE, Phase.DONE, 1),
        (Action.REGISTRY_WRITE, Phase.INTENT, None),
        (Action.REGISTRY_WRITE, Phase.DONE, None),
    ]
    intent, done = studio.entries(Action.PROMOTE)
    assert (intent.epoch, done.epoch, done.intent_id) == (0, 1, intent.id)
    assert {gate["name"] for gate in done.figures["gates"]} >= {"artefacts", "golden", "ndcg"}
    assert studio.promoter.journal.verify().n_entries == 4


def test_a_sync_with_nothing_asked_changes_and_notes_nothing(studio: Studio) -> None:
    put_in_production(studio, 1)
    before = studio.journal()
    assert sync(studio) == []
    assert studio.journal() == before


def test_an_alias_asks_like_a_stage(studio: Studio) -> None:
    studio.set_alias("production", 1)
    assert sync(studio) == [(1, "accepted")]
    studio.set_alias("production", 2)
    assert sync(studio) == [(2, "accepted")]
    assert says_truth(studio, 2)
    assert studio.stages()[1] == ARCHIVED


def test_a_worse_version_is_refused_with_figures_and_put_back(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(3, PRODUCTION)
    assert sync(studio) == [(3, "refused")]
    assert says_truth(studio, 1)
    version = studio.registry.version(3)
    assert version.stage is NONE
    assert version.tags["slate.decision"] == "refused"
    assert "**FAILED** `ndcg`: NDCG@10 of people with history is " in version.description
    assert "refused for Production" in version.description
    (refusal,) = studio.entries(Action.REFUSE)
    (gate,) = [gate for gate in refusal.figures["gates"] if gate["name"] == "ndcg"]
    assert not gate["passed"]
    assert gate["low"] <= gate["value"] <= gate["high"] < 0


def test_what_was_decided_is_replaced_by_the_next_decision_and_own_words_stay(studio: Studio) -> None:
    put_in_production(studio, 1)
    with studio.registry.connection.speaking() as client:
        client.update_model_version(studio.app, "3", "My words.")
    for _ in range(2):
        studio.set_stage(3, PRODUCTION)
        sync(studio)
    description = studio.registry.version(3).description
    assert description.startswith("My words.")
    assert description.count("**Decision**") == 1


def test_what_is_served_cannot_be_staged(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(1, STAGING)
    assert sync(studio) == [(1, "refused")]
    assert says_truth(studio, 1)
    assert "slate rollback" in studio.registry.version(1).tags["slate.decision.reason"]


def test_uncommitted_source_needs_to_be_allowed(studio: Studio) -> None:
    studio.set_stage(4, PRODUCTION)
    assert sync(studio) == [(4, "refused")]
    assert "--allow-dirty" in studio.registry.version(4).tags["slate.decision.reason"]
    assert studio.promoter.promote(4, requester="ada", allow_dirty=True).accepted
    assert says_truth(studio, 4)
    assert studio.entries(Action.PROMOTE)[-1].requester == "ada"


def test_staging_is_asked_for_by_stage_or_alias_and_left_freely(studio: Studio) -> None:
    put_in_production(studio, 1)
    studio.set_stage(3, STAGING)  # worse is no reason against trying it out
    assert sync(studio) == [(3, "accepted")]
    assert studio.aliases() == {"production": 1, "staging": 3}
    studio.set_alias("staging", 2)
    assert sync(studio) == [(2, "accepted")]
    assert (studio.stages()[2], studio.stages()[3]) == (STAGING, ARCHIVED)
    studio.set_stage(2, ARCHIVED)
    assert sync(studio) == []
    assert (studio.stages()[2], studio.aliases()) == (ARCHIVED, {"production": 1})
    assert says_truth(studio, 1)


def test_a_staged_version_goes_on_to_production(studio: Studio) -> None:
    studio.set_stage(1, STAGING)
    sync(studio)
    put_in_production(studio, 1)
    assert says_truth(studio, 1)
    assert "staging" not in studio.aliases()


def test_values_that_went_while_the_receipt_stayed_are_written_again_by_the_next_sync(studio: Studio) -> None:
    assert studio.promoter.promote(1, requester="ada").accepted
    pointer = studio.pointer()
    assert pointer is not None
    with connect(studio.redis_url) as client:
        client.delete(users_key(studio.app, pointer.generation_id, 0), items_key(studio.app, pointer.generation_id))
        [lacked] = studio.promoter.sync().mended
        assert "lacks 60 of 60 people, 40 of 40 items" in lacked
        assert missing_values(client, studio.app, pointer.generation_id, pointer.release_id) is None
    assert studio.promoter.sync().mended == ()
    assert studio.pointer() == pointer


def test_a_flushed_redis_is_filled_again_from_the_journal(studio: Studio) -> None:
    put_in_production(studio, 1, 2)
    studio.flush()
    report = studio.promoter.sync()
    assert report.rebuilt == studio.pointer()
    assert says_truth(studio, 2)
    assert studio.journal(Action.REBUILD) == [(Action.REBUILD, Phase.INTENT, 2), (Action.REBUILD, Phase.DONE, 2)]
    assert studio.promoter.sync().rebuilt is None


def test_a_bundle_that_is_not_here_is_fetched_from_the_registry(studio: Studio) -> None:
    bundle = studio.home.bundles / studio.registry.version(1).release_id
    shutil.rmtree(bundle)
    put_in_production(studio, 1)
    assert (bundle / "manifest.json").is_file()


def test_a_damaged_bundle_is_refused(studio: Studio) -> None:
    damaged = studio.home.bundles / studio.registry.version(1).release_id / "validation.json"
    damaged.write_text("{}\n\n")
    studio.set_stage(1, PRODUCTION)
    assert sync(studio) == [(1, "refused")]
    assert "validation.json" in studio.registry.version(1).tags["slate.decision.reason"]
    assert studio.pointer() is None
    assert studio.stages()[1] == NONE


def test_a_version_whose_generation_was_written_over_by_hand_is_refused(studio: Studio) -> None:
    studio.registry.annotate(studio.registry.version(1), {"slate.generation_id": "0123456789abcdef"}, "")
    studio.set_stage(1, PRODUCTION)
    assert sync(studio) == [(1, "refused")]
    assert "version 1 says 0123456789abcdef" in studio.registry.version(1).tags["slate.decision.reason"]
    assert studio.pointer() is None


def test_a_version_made_by_hand_is_refused(studio: Studio) -> None:
    source = studio.registry.version(1)
    by_hand = studio.registry.create_version(source=source.source, run_id=source.run_id, tags={}, description="")
    studio.set_stage(by_hand.number, PRODUCTION)
    assert sync(studio) == [(by_hand.number, "refused")]
    assert "slate register" in studio.registry.version(by_hand.number).tags["slate.decision.reason"]


def test_promoting_what_is_served_is_no_switch(studio: Studio) -> None:
    put_in_production(studio, 1)
    epoch = studio.pointer().epoch
    decision = studio.promoter.promote(1, requester="ada")
    assert (decision.accepted, decision.reason) == (True, "Its release is in production already.")
    assert studio.pointer().epoch == epoch
    staged = studio.promoter.promote(1, STAGING, requester="ada")
    assert (staged.accepted, staged.changes_nothing) == (False, False)
    assert says_truth(studio, 1)


def test_while_redis_is_away_a_request_waits(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.set_stage(1, PRODUCTION)
    with monkeypatch.context() as away:
        away.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        with pytest.raises(StoreUnavailable):
            sync(studio)
    assert studio.stages()[1] == PRODUCTION
    assert studio.journal() == []
    assert sync(studio) == [(1, "accepted")]


@pytest.mark.parametrize(
    ("wanted", "stage"), [("none", NONE), ("staging", STAGING), ("production", PRODUCTION)], ids=str
)
def test_what_a_training_does_with_its_release_is_a_parameter(studio: Studio, wanted: str, stage: Stage) -> None:
    promotion = studio.settings.promotion.model_copy(update={"after_training": wanted})
    settings = studio.settings.model_copy(update={"promotion": promotion})
    studio = replace(studio, settings=settings)
    decision = studio.promoter.after_training(1)
    assert (decision.verdict if decision else "none") == ("none" if stage is NONE else "accepted")
    assert studio.stages()[1] == stage
    assert studio.promoter.after_training(1) is None or stage is NONE


def test_the_commit_that_gives_a_release_back_is_on_the_version_and_in_the_journal(studio: Studio) -> None:
    version = studio.registry.version(2)
    studio.promoter.record_commit(version.release_id, "abc123")
    after = studio.registry.version(2)
    assert (after.tags["slate.release_commit"], after.description) == ("abc123", version.description)
    (entry,) = studio.entries(Action.RECORD)
    assert (entry.release_id, entry.version, entry.figures) == (version.release_id, 2, {"commit": "abc123"})
    put_in_production(studio, 1)  # a record is no first contact: what MLflow shows is still adopted


@pytest.mark.parametrize("phase", [Phase.INTENT, Phase.DONE], ids=str)
@pytest.mark.parametrize("action", [Action.PROMOTE, Action.REGISTRY_WRITE], ids=str)
def test_killed_between_any_two_steps_the_next_sync_ends_the_same(studio: Studio, action: Action, phase: Phase) -> None:
    put_in_production(studio, 1)
    studio.set_stage(2, PRODUCTION)
    with pytest.raises(Killed):
        replace(studio.promoter, journal=KillingJournal(studio.home, studio.app, action, phase)).sync()
    sync(studio)
    assert says_truth(studio, 2)
    assert studio.stages()[1] == ARCHIVED
    assert sync(studio) == []
    assert [entry.phase for entry in studio.entries(Action.PROMOTE) if entry.version == 2][-1] is Phase.DONE


def test_an_intent_whose_pointer_never_moved_is_noted_as_failed(studio: Studio) -> None:
    put_in_production(studio, 1)
    release = studio.registry.version(2)
    studio.promoter.journal.append(
        Note(Action.PROMOTE, Phase.INTENT, release.release_id, release.generation_id, 2, epoch=1)
    )
    sync(studio)
    assert studio.entries()[-1].phase is Phase.FAILED
    assert says_truth(studio, 1)


class _MeddlingJournal(Journal):
    """Somebody rolls back while a promotion is between its intent and its move."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio.home, studio.app)
        self._studio = studio

    def append(self, note: Note) -> Entry:
        entry = super().append(note)
        if (note.action, note.phase) == (Action.PROMOTE, Phase.INTENT):
            roll_back(
                self._studio.settings, self._studio.home, Journal(self._studio.home, self._studio.app), requester="x"
            )
        return entry


def test_a_rollback_during_a_promotion_has_the_last_word(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    # The promotion holds the lock all the while.
    monkeypatch.setattr("release.promotion.rollback.REGISTRY_PATIENCE_S", 0.01)
    put_in_production(studio, 1, 2)
    studio.set_stage(5, PRODUCTION)
    (decision,) = replace(studio.promoter, journal=_MeddlingJournal(studio)).sync().decisions
    assert (decision.version, decision.verdict) == (5, "refused")
    assert "switched by somebody else" in decision.reason
    assert says_truth(studio, 1)
    assert sync(studio) == []


@pytest.fixture
def champions(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The release ids that candidates are compared with, in turn; every gate is passed, for none is asked."""
    compared_with: list[str | None] = []

    def note(candidate: ReleaseCandidate, *_: Any, **__: Any) -> tuple[Gate, ...]:
        compared_with.append(candidate.champion.folder.name if candidate.champion else None)
        return ()

    monkeypatch.setattr(decider, "evaluate_gates", note)
    return compared_with


def roll_back_once_before(studio: Studio, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Somebody rolls back just before this function is called the next time."""
    # The promotion holds the lock all the while.
    monkeypatch.setattr("release.promotion.rollback.REGISTRY_PATIENCE_S", 0.01)
    original = getattr(owner, name)

    def rolling_back_first(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="x")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, rolling_back_first)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Registry, "download_bundle"), (decider, "evaluate_gates")],
    ids=["while its bundle is brought", "while the gates are asked"],
)
def test_a_rollback_while_it_is_decided_has_the_last_word(
    studio: Studio, champions: list[str | None], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    put_in_production(studio, 1, 2)
    shutil.rmtree(studio.home.bundles / studio.registry.version(5).release_id)
    studio.set_stage(5, PRODUCTION)
    roll_back_once_before(studio, monkeypatch, owner, name)
    assert sync(studio) == [(5, "refused")]
    assert champions[-1] == studio.registry.version(2).release_id
    assert studio.journal(Action.REFUSE) == [(Action.REFUSE, Phase.DONE, 5)]
    assert "switched by somebody else" in studio.registry.version(5).tags["slate.decision.reason"]
    assert says_truth(studio, 1)
    assert sync(studio) == []


def test_the_champion_is_what_the_pointer_names_where_a_rollback_has_not_said_so_yet(
    studio: Studio, champions: list[str | None]
) -> None:
    put_in_production(studio, 1, 2)
    target, pointer = studio.registry.version(1), studio.pointer()
    names = (target.release_id, target.generation_id)
    studio.promoter.journal.append(Note(Action.ROLLBACK, Phase.INTENT, *names, 1, epoch=pointer.epoch))
    with connect(studio.redis_url) as client:
        move_pointer(client, studio.app, *names, pointer.epoch)
    decide(studio, 5)
    assert champions[-1] == target.release_id


def test_the_journal_names_the_champion_where_the_store_lost_the_pointer_a_moment_ago(
    studio: Studio, champions: list[str | None]
) -> None:
    put_in_production(studio, 1)
    studio.flush()
    decide(studio, 5)
    assert champions[-1] == studio.registry.version(1).release_id


def decide(studio: Studio, version: int) -> Decision:
    """A decision on the pointer and the journal as they are; nothing is settled before, and nothing carried out."""
    with studio.promoter._switch() as switch:
        decider = studio.promoter._decider(switch, switch.pointer())
        return decider.decide(studio.registry.version(version), PromotionRequest(PRODUCTION, version, "ada"))


def test_what_was_measured_on_another_window_has_to_be_accepted_in_words(
    studio: Studio, base_bundle: Path, runs: Path, tmp_path: Path
) -> None:
    put_in_production(studio, 1)
    bundle = variant(base_bundle, tmp_path / "earlier", spoilt=("measured/window.json", '"2020-', '"2019-'))
    earlier = register_bundle(studio.home, bundle, runs).number
    studio.set_stage(earlier, PRODUCTION)
    assert sync(studio) == [(earlier, "refused")]
    assert "Not comparable" in studio.registry.version(earlier).tags["slate.decision.reason"]
    assert studio.promoter.promote(earlier, requester="ada", accepted={"ndcg": "both were looked at"}).accepted
    assert "Accepted: both were looked at" in studio.registry.version(earlier).description
    done = studio.entries(Action.PROMOTE)[-1]
    (gate,) = [gate for gate in done.figures["gates"] if gate["name"] == "ndcg"]
    assert "Accepted: both were looked at" in gate["sentence"]
    assert says_truth(studio, earlier)


@pytest.mark.parametrize(
    ("ndcg", "gate"), [(0.04, "floor"), (0.19, "popular")], ids=["under the floor", "worse than popular"]
)
def test_the_first_release_must_pass_floors(
    studio: Studio, base_bundle: Path, runs: Path, tmp_path: Path, ndcg: float, gate: str
) -> None:
    bundle = variant(
        base_bundle, tmp_path / "first", change=partial(record, slates=ndcg, popular=0.2, popular_recent=0.25)
    )
    number = register_bundle(studio.home, bundle, runs).number
    studio.set_stage(number, PRODUCTION)
    assert sync(studio) == [(number, "refused")]
    assert f"**FAILED** `{gate}`: " in studio.registry.version(number).description
    assert studio.pointer() is None


@pytest.mark.parametrize(
    ("gate", "spoilt"),
    [
        ("golden", ("golden/queries.json", '"tier": "personal"', '"tier": "popular"')),
        ("validation", ("validation.json", "true", "false")),
    ],
    ids=["golden", "validation"],
)
def test_a_release_that_is_whole_but_not_sound_is_refused_even_for_staging(
    studio: Studio, base_bundle: Path, runs: Path, tmp_path: Path, gate: str, spoilt: tuple[str, str, str]
) -> None:
    bundle = variant(base_bundle, tmp_path / gate, spoilt=spoilt)
    number = register_bundle(studio.home, bundle, runs).number
    studio.set_stage(number, STAGING)
    assert sync(studio) == [(number, "refused")]
    description = studio.registry.version(number).description
    assert "| passed | artefacts |" in description
    assert f"| FAILED | {gate} |" in description


def test_a_decision_carries_the_time_it_was_made(studio: Studio) -> None:
    moment = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    Promoter.open(studio.settings, studio.home, FixedClock(moment)).promote(1, requester="ada")
    version = studio.registry.version(1)
    assert "accepted for Production at 2026-11-01 12:30 UTC" in version.description
    assert {entry.ts for entry in studio.entries()} == {moment}


def test_a_version_has_a_handful_of_tags_and_its_decisions_as_artifacts_of_its_run(studio: Studio) -> None:
    before = studio.registry.version(3)
    former = {"slate.gate.ndcg": "passed: of long ago", "slate.decision.ts": "long ago", "mine": "stays"}
    studio.registry.annotate(before, former, before.description)
    put_in_production(studio, 1)
    assert not studio.promoter.promote(3, requester="ada").accepted
    version = studio.registry.version(3)
    assert set(version.tags) - set(before.tags) == {"slate.decision", "slate.decision.reason", "mine"}
    assert len(version.tags) < 10
    with studio.registry.connection.speaking() as client:
        paths = [artifact.path for artifact in client.list_artifacts(version.run_id, "decisions")]
        (named,) = [path for path in paths if f"`{path}`" in version.description]
        text = Path(client.download_artifacts(version.run_id, named)).read_text()
    assert "| FAILED | ndcg | " in text
    assert "at least 0.05" in text  # what a gate says that was passed


def test_a_version_whose_run_was_deleted_for_good_is_decided_on_nevertheless(studio: Studio) -> None:
    with studio.registry.connection.speaking() as client:
        client._tracking_client.store._hard_delete_run(studio.registry.version(1).run_id)
    put_in_production(studio, 1)
    assert "accepted for Production" in studio.registry.version(1).description


def test_a_decision_is_json(studio: Studio) -> None:
    decision: Decision = studio.promoter.promote(1, requester="ada")
    assert json.loads(json.dumps(decision.to_json()))["verdict"] == "accepted"


def test_an_unreachable_registry_is_an_error_of_ours(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(RegistryUnavailable):
        sync(studio)
