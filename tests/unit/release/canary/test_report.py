import json
from dataclasses import replace
from datetime import timedelta

from release.canary.page import page
from release.canary.report import build_report
from release.canary.sums import CanarySums
from release.canary.tables import arms_table, checks_table, headline, left_out_table, sample_ratio_table
from release.canary.trail import TrailPoint
from tests.canary_worlds import LIMITS, START, click, count, impression, run_of, settled_ms

SCRIPT = "<script>alert(1)</script>"
IN_CANARY = {"arm": "canary", "release_id": "r-candidate"}
NOON = START + timedelta(hours=2)


def shown(n_production, n_canary, hour=0):
    """One slate of one item for each of so many people."""
    return [
        *(impression(f"p{hour}-{n}", user_id=f"p{n}") for n in range(n_production)),
        *(impression(f"c{hour}-{n}", user_id=f"c{n}", **IN_CANARY) for n in range(n_canary)),
    ]


def report_of(records, *shares):
    run = run_of(*(shares or (0.3,)))
    return build_report(count(CanarySums(run), records), run, LIMITS, NOON)


def assert_harmless(text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_before_anybody_came_every_table_and_the_page_stand_empty():
    report = report_of([])
    assert report.breach is None
    assert not report.alarm
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["differences"] == {}
    assert [len(table(report).rows) for table in (checks_table, sample_ratio_table, left_out_table)] == [3, 1, 0]
    assert "nothing to draw yet" in page(report, [])
    assert "No guardrail is crossed" in headline(report)


def test_the_first_moments_say_that_it_is_too_early_to_count_and_then_to_judge():
    run = run_of(0.3)
    at_once = build_report(count(CanarySums(run), []), run, LIMITS, START + timedelta(seconds=29))
    assert "Too early to count: what was shown before " in headline(at_once)
    assert "No guardrail" not in headline(at_once)
    few = report_of(shown(8, 4))
    assert (
        f"Too early to judge clicks and degraded answers: 4 people in the smaller arm, {LIMITS.min_people}"
        in headline(few)
    )
    enough = report_of(shown(70 * LIMITS.min_people // 10, 3 * LIMITS.min_people))
    assert headline(enough).endswith("share of 0.3. No guardrail is crossed.")


def test_an_arm_has_its_people_requests_and_clicks():
    report = report_of([*shown(8, 4), click("p0-1"), click("p0-2"), click("c0-0")])
    arms = report.to_json()["arms"]
    assert (arms["production"]["people"], arms["canary"]["people"]) == (8, 4)
    assert (arms["production"]["click_through_request"]["value"], arms["canary"]["click_through_request"]["value"]) == (
        2 / 8,
        1 / 4,
    )
    assert report.to_json()["differences"]["click_through_request"]["value"] == 0
    assert ("people", "8", "4", "", "") in arms_table(report).rows


def test_whoever_looks_once_is_warned_before_the_guard_is_sure():
    # (250 - 300)^2 / 300 + 50^2 / 700 = 11.9: p 0.0006 for one look, and far from it for a guard that looks always.
    report = report_of(shown(750, 250))
    assert report.alarm
    assert report.breach is None
    assert "People may be lost in one arm" in headline(report)


def test_the_first_guardrail_that_is_crossed_is_named():
    report = report_of(shown(900, 20))
    assert report.breach.name == "sample_ratio"
    assert report.breach.sentence.startswith("20 of 920 people at share 0.3, 276.0 expected: people are lost")
    assert "and the next sync ends it" in headline(report)
    assert 'class="verdict bad"' in page(report, [])


def test_people_who_moved_to_the_other_arm_are_counted_and_nobody_is_taken_for_lost():
    run = run_of(0.3, 0.6)
    sums = count(CanarySums(run), shown(70, 30))
    moved = [impression(f"again-{n}", user_id=f"p{n}", **IN_CANARY) for n in range(30)]
    stayed = [record for record in shown(70, 30, 1) if not any(b'"user_id":"p%d"' % n in record for n in range(30))]
    count(sums, stayed + moved, settled_ms(START + timedelta(hours=1)))
    report = build_report(sums, run, LIMITS, NOON)
    assert report.n_in_both == 30
    assert [(ratio.n_production, ratio.n_canary) for ratio in report.sample_ratios] == [(70, 30), (40, 60)]
    assert report.people_lost_p == 1


def test_what_somebody_else_wrote_cannot_break_the_page():
    report = report_of([*shown(3, 3), impression("x", user_id="x", tier=SCRIPT)])
    assert_harmless(page(report, []))


def test_the_reason_that_somebody_typed_cannot_break_the_page():
    run = replace(run_of(0.3), ended=f"Ended by ada: {SCRIPT}", beside=SCRIPT)
    assert_harmless(page(build_report(count(CanarySums(run), []), run, LIMITS, NOON), []))


def test_the_page_with_its_plot_needs_nothing_from_outside():
    text = page(report_of(shown(300, 300)), [TrailPoint(100, 0.01, -0.5, 0.5), TrailPoint(300, 0.02, -0.1, 0.2)])
    assert "<svg" in text
    assert "#0" not in text.split("<svg")[1]  # every colour of the plot is one of the page's
    assert not [word for word in ("<script", "<link", "src=", "@import", "url(http") if word in text]
