from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.canary.sums import CANARY, PRODUCTION, SETTLING, CanarySums, Count
from tests.canary_worlds import START, click, count, impression, run_of, settled_ms

IN_CANARY = {"arm": "canary", "release_id": "r-candidate"}


def totals(sums, arm):
    cells = sums.cells()
    ours = cells.arm == arm
    return {name: int(values[ours].sum()) for name, values in cells.counts.items()}


def test_slates_and_clicks_are_counted_in_the_arm_that_showed_them():
    records = [
        *(impression("a", position, degraded=["features"]) for position in (1, 2, 3)),
        click("a", "i2"),
        click("a", "i3"),
        *(impression("b", position, user_id="bob", **IN_CANARY) for position in (1, 2)),
        *(impression("c", position, user_id="bob", tier="session", **IN_CANARY) for position in (1, 2)),
        click("c", "i1", user_id="bob"),
    ]
    sums = count(CanarySums(run_of(0.3)), records)
    assert totals(sums, PRODUCTION) == {
        "requests": 1, "clicked_requests": 1, "impressions": 3, "clicks": 2, "degraded": 1,
    }  # fmt: skip
    assert totals(sums, CANARY) == {
        "requests": 2, "clicked_requests": 1, "impressions": 4, "clicks": 1, "degraded": 0,
    }  # fmt: skip
    assert (sums.n_items(PRODUCTION), sums.n_items(CANARY)) == (3, 2)
    assert sums.tiers == {(PRODUCTION, "personal"): 1, (CANARY, "personal"): 1, (CANARY, "session"): 1}
    assert sums.propensity(CANARY) == 4
    assert (sums.n_read, len(sums.cells().person)) == (10, 2)


def test_what_was_written_twice_counts_once():
    records = [*(impression("a", position) for position in (1, 2, 3)), click("a", "i1")]
    once, twice = CanarySums(run_of(0.3)), CanarySums(run_of(0.3))
    count(once, records)
    count(count(twice, records + records), records)
    assert totals(twice, PRODUCTION) == totals(once, PRODUCTION)
    assert twice.tiers == once.tiers


@given(st.lists(st.integers(0, 8), max_size=6).map(sorted))
def test_where_the_log_is_cut_into_batches_makes_no_difference(cuts):
    records = [
        *(impression("a", position) for position in (1, 2, 3)),
        click("a", "i1"),
        *(impression("b", position) for position in (1, 2)),
        click("a", "i2"),
        click("b", "i2"),
    ]
    whole, cut = count(CanarySums(run_of(0.3)), records), CanarySums(run_of(0.3))
    for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        count(cut, records[start:end])
    assert totals(cut, PRODUCTION) == totals(whole, PRODUCTION)
    assert cut.tiers == whole.tiers


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (impression("a", user_id=None), "of nobody known"),
        (impression("a", release_id="r-candidate"), "of other releases"),
        (impression("a", arm="canary"), "of other releases"),
        (impression("a", arm="staging", release_id="r-candidate"), "of other releases"),
        (click(None), "clicks that name no request"),
        (click("unknown"), "clicks on slates that do not count"),
        (impression("a", event_type="rating"), "other events"),
        (impression("a", position=0), "unreadable"),
        (impression("a", position=2**40), "unreadable"),
        (impression("a", propensity=None), "unreadable"),
        (b"", "unreadable"),
        (b"7", "unreadable"),
        (b"[]", "unreadable"),
        (b'{"event_type": "impression", "arm": "canary"}', "unreadable"),
        (b'{"event_type": "click"}', "unreadable"),
        (b"\xff", "unreadable"),
    ],
)
def test_what_does_not_count_is_counted_by_its_reason(record, why):
    sums = count(CanarySums(run_of(0.3)), [record])
    assert +sums.left_out == {why: 1}
    assert not len(sums.cells().person)


def test_a_visitor_without_an_account_is_known_by_the_session():
    visitors = [impression(f"r{session}", user_id=None, session_id=session) for session in ("s1", "s2", "s1")]
    sums = count(CanarySums(run_of(0.3)), [*visitors, impression("a", session_id="s1")])
    assert len(sums.cells().person) == 3


def test_a_period_begins_once_servers_took_up_the_share_and_ends_with_the_next_change():
    change = START + timedelta(hours=1)
    sums = CanarySums(run_of(0.3, 0.5))
    moments = [
        settled_ms() - 1,
        settled_ms(),
        int(change.timestamp() * 1000) - 1,
        int(change.timestamp() * 1000),
        settled_ms(change) - 1,
        settled_ms(change),
    ]
    for moment in moments:
        count(sums, [impression(f"r{moment}", user_id=f"u{moment}")], moment)
    assert sorted(sums.cells().period.tolist()) == [0, 0, 1]
    assert sums.left_out["outside the time compared"] == 3
    assert timedelta() < SETTLING < timedelta(minutes=1)


def test_a_click_counts_where_its_slate_was_shown_also_after_the_share_changed():
    sums = count(CanarySums(run_of(0.3, 0.5)), [impression("a")])
    count(sums, [click("a")], settled_ms(START + timedelta(hours=1)))
    cells = sums.cells()
    assert (cells.period.tolist(), cells.counts[Count.CLICKS].tolist()) == ([0], [1])


def test_rows_of_one_person_stand_together():
    people = [f"u{number}" for number in range(50)]
    sums = CanarySums(run_of(0.3, 0.5))
    for hours, arm in ((0, {}), (1, IN_CANARY)):
        records = [impression(f"{person}-{hours}", user_id=person, **arm) for person in people]
        count(sums, records, settled_ms(START + timedelta(hours=hours)))
    person = sums.cells().person
    assert len(person) == 100
    assert (person[::2] == person[1::2]).all()


def test_changes_of_the_share_made_meanwhile_are_taken_up():
    sums = count(CanarySums(run_of(0.3)), [impression("a")])
    sums.follow(run_of(0.3, 0.5))
    count(sums, [impression("b")], settled_ms(START + timedelta(hours=1)))
    assert sorted(sums.cells().period.tolist()) == [0, 1]
