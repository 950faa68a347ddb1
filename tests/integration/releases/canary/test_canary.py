"""A canary from start to end, by hand and by its guard; real MLflow, real Redis.

Versions 1, 2 and 5 are about as good as each other, 3 is much worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from contracts.clock import FixedClock
from contracts.errors import PromotionRefused, RegistryUnavailable
from feature_store.online.connection import connect
from feature_store.online.keys import receipt_key
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Staged, end_canary, read_serving_targets, set_canary
from release.canary.canary_run import CanaryRun
from release.canary.report import CanaryReport, build_report
from release.journal.entries import Action, Phase
from release.journal.journal import Journal
from release.promotion.canary_control import CanaryControl, start_canary
from release.promotion.promotion import Promoter
from release.promotion.rollback import roll_back
from release.registry.state import Stage
from tests.canary_worlds import LIMITS, START, CanaryWorld, Log, settled_ms
from tests.killed import Killed, KillingJournal
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]
INTENT, DONE, FAILED = Phase.INTENT, Phase.DONE, Phase.FAILED
NOBODY_LISTENS = "http://127.0.0.1:1"


def promoter_at(studio: Studio, hours: float = 0) -> Promoter:
    """A new process, so many hours after the canary starts."""
    return Promoter.open(studio.settings, studio.home, FixedClock(START + timedelta(hours=hours)))


def control_at(studio: Studio, hours: float = 0) -> CanaryControl:
    return CanaryControl.open(studio.settings, studio.home, FixedClock(START + timedelta(hours=hours)))


def promote(studio: Studio, version: int, hours: float = -1) -> None:
    assert promoter_at(studio, hours).promote(version, requester="ada").accepted


def started(studio: Studio, version: int = 2, share: float = 0.5) -> CanaryRun:
    """Version 1 in production, and beside it a canary since START."""
    promote(studio, 1)
    return start_canary(promoter_at(studio), version, share, requester="ada")


def serving_targets(studio: Studio):
    with closing(connect(studio.redis_url)) as client:
        return read_serving_targets(client, studio.app)


def steps(studio: Studio) -> list[tuple[str, Phase]]:
    return [(entry.figures["step"], entry.phase) for entry in studio.entries(Action.CANARY)]


@contextmanager
def log_of(studio: Studio) -> Iterator[Log]:
    with closing(connect(studio.redis_url)) as client:
        yield Log(client, studio.app)


def people_come(studio: Studio, run: CanaryRun, n_people: int = 1600, seed: int = 0, **world: object) -> None:
    """So many people visit soon after the start."""
    visits = CanaryWorld(run.canary, run.beside, **world).visits(  # type: ignore[arg-type]
        [f"u{seed}-{number}" for number in range(n_people)], np.random.default_rng(seed)
    )
    with log_of(studio) as log:
        log.write(list(visits), settled_ms() + seed)


def report_of(promoter: Promoter, log: Log, run: CanaryRun, hours: float) -> CanaryReport:
    """What this process' guard has read, and reads now, as a report."""
    moment = START + timedelta(hours=hours)
    return build_report(promoter.guard.read(log.client, run, moment), run, LIMITS, moment)


def test_a_canary_stands_beside_production_with_its_values_published(studio: Studio) -> None:
    run = started(studio, share=0.05)
    candidate = studio.registry.version(2)
    found = serving_targets(studio)
    assert found.canary == run.canary
    assert (found.canary.release_id, found.canary.generation_id) == (candidate.release_id, candidate.generation_id)
    assert (found.canary.share, found.canary.started_ts) == (0.05, int(START.timestamp()))
    assert studio.served() == 1
    with closing(connect(studio.redis_url)) as client:
        assert client.exists(receipt_key(studio.app, candidate.generation_id))


def test_the_journal_and_the_version_say_that_it_runs_and_how(studio: Studio) -> None:
    run = started(studio, share=0.05)
    assert steps(studio) == [("start", INTENT), ("start", DONE)]
    intent, done = studio.entries(Action.CANARY)
    assert (done.intent_id, done.epoch, done.version, done.requester) == (intent.id, 1, 2, "ada")
    assert done.figures == {
        "step": "start",
        "share": 0.05,
        "salt": run.canary.salt,
        "started_ts": run.canary.started_ts,
        "beside": studio.registry.version(1).release_id,
    }
    assert studio.registry.version(2).tags["slate.canary"] == "running"
    assert promoter_at(studio).sync().decisions == ()


def test_two_canaries_of_one_release_take_other_people(studio: Studio) -> None:
    first = started(studio)
    control_at(studio, 1).stop(requester="ada")
    second = start_canary(promoter_at(studio, 2), 2, 0.5, requester="ada")
    assert first.canary.salt != second.canary.salt


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_an_arm_empty_is_refused(studio: Studio, share: float) -> None:
    promote(studio, 1)
    with pytest.raises(PromotionRefused, match="leaves one arm empty"):
        start_canary(promoter_at(studio), 2, share, requester="ada")


def test_beside_nothing_there_is_no_canary(studio: Studio) -> None:
    with pytest.raises(PromotionRefused, match="Nothing is in production"):
        start_canary(promoter_at(studio), 2, 0.1, requester="ada")
    assert studio.entries(Action.REFUSE)[-1].version == 2


def test_the_release_in_production_is_no_candidate(studio: Studio) -> None:
    promote(studio, 1)
    with pytest.raises(PromotionRefused, match="in production already"):
        start_canary(promoter_at(studio), 1, 0.1, requester="ada")


def test_a_version_made_by_hand_is_no_candidate(studio: Studio) -> None:
    promote(studio, 1)
    source = studio.registry.version(1)
    by_hand = studio.registry.create_version(source=source.source, run_id=source.run_id, tags={}, description="")
    with pytest.raises(PromotionRefused, match="slate register"):
        start_canary(promoter_at(studio), by_hand.number, 0.1, requester="ada")


def test_the_gates_of_staging_are_asked_and_the_reasons_land_in_the_journal(studio: Studio) -> None:
    promote(studio, 1)
    bundle = studio.home.bundles / studio.registry.version(2).release_id
    (bundle / "validation.json").write_text("{}\n\n")
    with pytest.raises(PromotionRefused, match=r"validation\.json"):
        start_canary(promoter_at(studio), 2, 0.1, requester="ada")
    (refusal,) = studio.entries(Action.REFUSE)
    assert "validation.json" in refusal.reason
    assert refusal.figures["gates"]
    assert serving_targets(studio).canary is None


def test_one_canary_runs_at_a_time(studio: Studio) -> None:
    run = started(studio)
    with pytest.raises(PromotionRefused, match="is the canary already"):
        start_canary(promoter_at(studio), 5, 0.1, requester="ada")
    assert serving_targets(studio).canary == run.canary


def test_the_share_is_changed_in_the_store_and_those_who_had_it_keep_it(studio: Studio) -> None:
    small = started(studio, share=0.2).canary
    run = control_at(studio, 1).change_share(0.4, requester="ada", reason="looks well")
    assert serving_targets(studio).canary == run.canary == replace(small, share=0.4)
    assert [(period.share, period.since) for period in run.periods] == [
        (0.2, START),
        (0.4, START + timedelta(hours=1)),
    ]
    assert run.periods[0].until == run.periods[1].since
    assert steps(studio)[2:] == [("share", INTENT), ("share", DONE)]
    people = [str(number) for number in range(200)]
    assert {person for person in people if small.takes(person)} < {p for p in people if run.canary.takes(p)}


def test_without_a_canary_there_is_no_share_to_change_and_none_to_end(studio: Studio) -> None:
    promote(studio, 1)
    with pytest.raises(PromotionRefused, match="No canary runs"):
        control_at(studio).change_share(0.4, requester="ada")
    with pytest.raises(PromotionRefused, match="No canary runs"):
        control_at(studio).stop(requester="ada")


def test_it_ends_with_mlflow_away_and_mlflow_hears_of_it_later(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    started(studio)
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
        run = control_at(studio, 1).stop(requester="ada", reason="complaints")
    assert (run.ended, run.periods[-1].until) == ("complaints", START + timedelta(hours=1))
    assert serving_targets(studio).canary is None
    assert studio.registry.version(2).tags["slate.canary"] == "running"
    promoter_at(studio, 2).sync()
    assert studio.registry.version(2).tags["slate.canary"] == "ended"
    assert "canary ended at 2026-11-01 13:00 UTC: complaints" in studio.registry.version(2).description


@pytest.mark.parametrize("how", ["promotion of the candidate", "promotion of another", "rollback"])
def test_it_ends_when_production_moves_and_the_next_sync_notes_that(studio: Studio, how: str) -> None:
    promote(studio, 5, hours=-2)
    started(studio)
    if how == "rollback":
        roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="ada")
    else:
        promote(studio, 2 if "candidate" in how else 5, hours=1)
    assert serving_targets(studio).canary is None
    assert not control_at(studio).run().is_running
    promoter_at(studio, 2).sync()
    assert steps(studio)[-2:] == [("end", INTENT), ("end", DONE)]
    assert "went into production" in studio.entries(Action.CANARY)[-1].reason
    n_entries = len(studio.entries())
    promoter_at(studio, 3).sync()
    assert len(studio.entries()) == n_entries


def test_away_and_back_again_is_an_end_too(studio: Studio) -> None:
    started(studio)
    promote(studio, 5, hours=1)
    roll_back(studio.settings, studio.home, Journal(studio.home, studio.app), requester="ada")
    assert studio.served() == 1
    promoter_at(studio, 2).sync()
    assert serving_targets(studio).canary is None
    assert not control_at(studio).run().is_running


def test_a_flushed_store_gets_staging_and_canary_back_and_the_comparison_begins_anew(studio: Studio) -> None:
    promote(studio, 1)
    assert promoter_at(studio).promote(5, Stage.STAGING, requester="ada").accepted
    start_canary(promoter_at(studio), 2, 0.3, requester="ada")
    before = serving_targets(studio)
    studio.flush()
    promoter_at(studio, 2).sync()
    after = serving_targets(studio)
    assert (after.staged, after.canary, after.pointer.release_id) == (
        before.staged,
        before.canary,
        before.pointer.release_id,
    )
    assert steps(studio)[-2:] == [("restore", INTENT), ("restore", DONE)]
    (period,) = control_at(studio).run().periods
    assert period.since == START + timedelta(hours=2)


def test_a_canary_that_the_journal_does_not_know_is_taken_away(studio: Studio) -> None:
    run = started(studio)
    control_at(studio, 1).stop(requester="ada")
    with closing(connect(studio.redis_url)) as client:
        set_canary(client, studio.app, run.canary, None, studio.pointer().epoch)  # an old dump was restored
    promoter_at(studio, 2).sync()
    assert serving_targets(studio).canary is None


def test_a_share_from_an_old_dump_is_set_right(studio: Studio) -> None:
    old = started(studio, share=0.2).canary
    run = control_at(studio, 1).change_share(0.4, requester="ada")
    with closing(connect(studio.redis_url)) as client:
        set_canary(client, studio.app, old, run.canary, studio.pointer().epoch)
    promoter_at(studio, 2).sync()
    assert serving_targets(studio).canary == run.canary


def dying_at(studio: Studio, phase: Phase) -> KillingJournal:
    """A journal that dies before it has written a canary's entry of this phase."""
    return KillingJournal(studio.home, studio.app, Action.CANARY, phase, FixedClock(START))


def test_killed_before_its_intent_is_noted_nothing_started(studio: Studio) -> None:
    promote(studio, 1)
    with pytest.raises(Killed):
        start_canary(replace(promoter_at(studio), journal=dying_at(studio, INTENT)), 2, 0.5, requester="ada")
    promoter_at(studio).sync()
    assert (serving_targets(studio).canary, steps(studio)) == (None, [])


def test_killed_after_the_store_has_it_the_next_sync_says_so(studio: Studio) -> None:
    promote(studio, 1)
    with pytest.raises(Killed):
        start_canary(replace(promoter_at(studio), journal=dying_at(studio, DONE)), 2, 0.5, requester="ada")
    assert serving_targets(studio).canary is not None
    promoter_at(studio).sync()
    assert steps(studio) == [("start", INTENT), ("start", DONE)]
    assert control_at(studio).run().canary == serving_targets(studio).canary


def test_killed_between_the_intent_and_the_store_it_did_not_start(studio: Studio) -> None:
    promote(studio, 1)
    with pytest.raises(Killed):
        start_canary(replace(promoter_at(studio), journal=dying_at(studio, DONE)), 2, 0.5, requester="ada")
    with closing(connect(studio.redis_url)) as client:
        assert end_canary(client, studio.app, serving_targets(studio).canary)  # as if it had been killed a step earlier
    promoter_at(studio).sync()
    assert steps(studio) == [("start", INTENT), ("start", FAILED)]
    assert not control_at(studio).run()


def test_an_end_that_was_begun_is_carried_out(studio: Studio) -> None:
    run = started(studio)
    with pytest.raises(Killed):
        replace(control_at(studio, 1), journal=dying_at(studio, DONE)).stop(requester="ada")
    with closing(connect(studio.redis_url)) as client:
        set_canary(client, studio.app, run.canary, None, studio.pointer().epoch)  # as if killed a step earlier
    promoter_at(studio, 2).sync()
    assert serving_targets(studio).canary is None
    assert not control_at(studio).run().is_running


def test_a_worse_canary_is_ended_by_a_sync_which_says_why_everywhere(studio: Studio) -> None:
    run = started(studio)
    people_come(studio, run, click_share=(0.3, 0.1))
    report = promoter_at(studio, 1).sync()
    assert "click-through" in report.canary_ended
    assert report.to_json()["canary_ended"] == report.canary_ended
    assert serving_targets(studio).canary is None
    entry = studio.entries(Action.CANARY)[-1]
    assert (entry.requester, entry.reason, entry.phase) == ("guard", report.canary_ended, DONE)
    figures = entry.figures["report"]
    assert figures["arms"]["canary"]["click_through_request"]["value"] < 0.2
    assert {check["name"]: check["crossed"] for check in figures["guard"]}["clicks"]
    assert report.canary_ended in studio.registry.version(2).description
    assert studio.promoter.journal.verify().n_entries
    assert promoter_at(studio, 2).sync().canary_ended == ""


def test_a_worse_canary_is_ended_with_mlflow_away(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(studio)
    people_come(studio, run, click_share=(0.3, 0.1))
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY_LISTENS)
        with pytest.raises(RegistryUnavailable):
            promoter_at(studio, 1).sync()
    assert serving_targets(studio).canary is None
    promoter_at(studio, 2).sync()
    assert studio.registry.version(2).tags["slate.canary"] == "ended"


def test_a_watch_reads_on_where_it_stopped_and_a_new_one_comes_to_the_same(studio: Studio) -> None:
    run = started(studio)
    watching = promoter_at(studio, 1)
    for seed in range(3):
        people_come(studio, run, 300, seed)
        assert watching.sync().canary_ended == ""
    with log_of(studio) as log:
        n_records = log.client.xlen(f"slate:{{{studio.app}}}:events")
        again = report_of(watching, log, run, 1)
        anew = report_of(promoter_at(studio), log, run, 1)
    assert again.n_read == anew.n_read == n_records
    assert again.to_json() == anew.to_json()


def test_a_change_of_the_share_in_the_middle_of_a_watch_takes_nobody_for_lost(studio: Studio) -> None:
    run = started(studio, share=0.1)
    watching = promoter_at(studio, 3)
    people_come(studio, run, 1500)
    watching.sync()
    run = control_at(studio, 1).change_share(0.6, requester="ada")
    visits = CanaryWorld(run.canary, run.beside).visits([f"u0-{n}" for n in range(1500)], np.random.default_rng(1))
    with log_of(studio) as log:
        log.write(list(visits), settled_ms(START + timedelta(hours=1)))
        assert watching.sync().canary_ended == ""
        report = report_of(watching, log, run, 3)
    assert [ratio.share for ratio in report.sample_ratios] == [0.1, 0.6]
    assert not report.alarm
    assert report.n_in_both > 500


def test_people_lost_in_the_canary_end_it(studio: Studio) -> None:
    run = started(studio)
    people_come(studio, run, lost_share=0.6)
    assert "lost in one arm" in promoter_at(studio, 1).sync().canary_ended


def test_what_stands_in_staging_is_published_and_named_to_servers_until_it_leaves(studio: Studio) -> None:
    promote(studio, 1)
    studio.set_stage(2, Stage.STAGING)
    promoter_at(studio).sync()
    version = studio.registry.version(2)
    assert serving_targets(studio).staged == Staged(version.release_id, version.generation_id)
    studio.set_stage(2, Stage.ARCHIVED)
    promoter_at(studio).sync()
    assert serving_targets(studio).staged is None


def test_what_goes_on_from_staging_to_production_does_not_stand_in_staging_any_more(studio: Studio) -> None:
    studio.set_stage(2, Stage.STAGING)
    promoter_at(studio).sync()
    promote(studio, 2)
    promoter_at(studio).sync()
    found = serving_targets(studio)
    assert found.staged is None
    assert found.pointer == Pointer(studio.registry.version(2).release_id, found.pointer.generation_id, 1)
