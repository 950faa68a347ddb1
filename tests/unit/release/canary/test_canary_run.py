from datetime import timedelta

import pytest

from release.canary.canary_run import last_run, noted_as_ended
from release.journal.entries import Action, Entry, Phase
from release.journal.view import JournalView
from tests.canary_worlds import START


def view_of(*told):
    """The view of entries an hour apart: (action, release, figures) with phase `done`."""
    return JournalView.of(
        Entry(
            action,
            Phase.DONE,
            release_id,
            f"g-{release_id}" if release_id else None,
            figures=figures,
            reason=figures.get("why", ""),
            id=at + 1,
            ts=START + timedelta(hours=at),
            app="movies",
            previous_hash="",
        )
        for at, (action, release_id, figures) in enumerate(told)
    )


def canary(step, share=0.1, **figures):
    return (
        Action.CANARY,
        "r2",
        {"step": step, "share": share, "salt": "s", "started_ts": 7, "beside": "r1", **figures},
    )


def promoted(release_id):
    return (Action.PROMOTE, release_id, {})


def hours_of(run):
    def hour(moment):
        return moment and (moment - START).total_seconds() / 3600

    return [(period.share, hour(period.since), hour(period.until)) for period in run.periods]


def test_before_the_first_there_is_none():
    assert last_run(view_of(promoted("r1"))) is None
    assert noted_as_ended(view_of(promoted("r1")))


def test_a_canary_is_told_by_its_shares_and_their_times():
    run = last_run(view_of(promoted("r1"), canary("start"), canary("share", 0.3), canary("share", 0.5)))
    assert (run.is_running, run.canary.share, run.canary.salt, run.beside) == (True, 0.5, "s", "r1")
    assert hours_of(run) == [(0.1, 1, 2), (0.3, 2, 3), (0.5, 3, None)]


def test_an_ended_one_says_why():
    told = view_of(canary("start"), canary("end", why="enough"))
    run = last_run(told)
    assert (run.is_running, run.ended) == (False, "enough")
    assert hours_of(run) == [(0.1, 0, 1)]
    assert noted_as_ended(told)


def test_an_end_told_twice_is_the_first():
    run = last_run(view_of(canary("start"), canary("end", why="first"), canary("end", why="second")))
    assert (run.ended, hours_of(run)) == ("first", [(0.1, 0, 1)])


@pytest.mark.parametrize("release_id", ["r2", "r3"])
def test_another_release_in_production_is_an_end_that_nobody_noted_yet(release_id):
    told = view_of(canary("start"), promoted(release_id), promoted("r1"))
    run = last_run(told)
    assert (run.is_running, hours_of(run)) == (False, [(0.1, 0, 1)])
    assert release_id in run.ended
    assert not noted_as_ended(told)


def test_fresher_values_of_production_are_no_end():
    assert last_run(view_of(canary("start"), promoted("r1"))).is_running


def test_what_was_restored_begins_anew():
    run = last_run(view_of(canary("start"), canary("share", 0.3), canary("restore", 0.3)))
    assert (run.is_running, hours_of(run)) == (True, [(0.3, 2, None)])


def test_the_last_of_several_is_told():
    told = view_of(canary("start"), canary("end", why="enough"), canary("start", 0.2, salt="t"))
    assert (last_run(told).canary.salt, hours_of(last_run(told))) == ("t", [(0.2, 2, None)])
    assert not noted_as_ended(told)


def test_what_stands_in_staging_is_what_was_put_there_last():
    one, two = (Action.STAGE, "r1", {}), (Action.STAGE, "r2", {})
    nothing = (Action.STAGE, None, {})
    assert view_of().staging is None
    assert view_of(one, two).staging.release_id == "r2"
    assert view_of(one, nothing).staging is None
    assert view_of(one, promoted("r3")).staging.release_id == "r1"
    assert view_of(one, promoted("r1"), promoted("r3")).staging is None
