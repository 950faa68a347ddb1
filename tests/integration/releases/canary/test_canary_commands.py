"""`slate canary` as somebody types it, and the page it writes."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from contracts.clock import FixedClock
from contracts.errors import PromotionRefused
from feature_store.online.connection import connect
from release.canary.trail import read_report
from release.promotion.canary_control import start_canary
from release.promotion.promotion import Promoter
from tests.canary_worlds import START, CanaryWorld, Log, settled_ms
from tests.promotion_worlds import FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]


def visited(studio: Studio, **world: object) -> None:
    """A canary of version 2 since START, and two thousand people who came since."""
    assert studio.promoter.promote(1, requester="ada").accepted
    promoter = Promoter.open(studio.settings, studio.home, FixedClock(START))
    run = start_canary(promoter, 2, 0.4, requester="ada")
    visits = list(
        CanaryWorld(run.canary, run.beside, **world).visits(  # type: ignore[arg-type]
            [f"u{n}" for n in range(2000)], np.random.default_rng(0)
        )
    )
    with closing(connect(studio.redis_url)) as client:
        log = Log(client, studio.app)
        for part in range(5):
            log.write(visits[part * len(visits) // 5 : (part + 1) * len(visits) // 5], settled_ms() + part)


def test_a_canary_of_a_version_that_was_just_refused_is_started_with_a_warning(slate) -> None:
    slate("promote", "1")
    assert slate("promote", "3").exit_code == 1
    started = slate("canary", "start", "3", "--share", "0.1")
    assert started.exit_code == 0
    assert "warning: version 3 was refused, and people get it now. ndcg: NDCG@10 of people" in started.stderr
    slate("canary", "stop")
    assert "warning" not in slate("canary", "start", "2", "--share", "0.1").stderr


def test_from_start_to_end_in_words_and_in_json(slate, studio: Studio) -> None:
    assert slate("canary").stdout.startswith("no canary ran yet")
    assert slate("canary", "--json").stdout == "null\n"
    slate("promote", "1")
    assert "0.1 of the people get" in slate("canary", "start", "2", "--share", "0.1").stdout
    changed = json.loads(slate("canary", "share", "0.25", "--json").stdout)
    assert (changed["share"], changed["version"], changed["ended"]) == (0.25, 2, "")
    assert "at a share of 0.25. Too early to count: " in slate("canary").stdout
    assert "complaints" in slate("canary", "stop", "--reason", "complaints").stdout
    assert "Ended. complaints" in slate("canary").stdout
    assert isinstance(slate("canary", "stop").exception, PromotionRefused)
    assert isinstance(slate("canary", "start", "2", "--share", "7").exception, PromotionRefused)


def test_a_canary_that_the_guard_ends_is_told_by_sync(slate, studio: Studio) -> None:
    visited(studio, click_share=(0.3, 0.08))
    assert "A guardrail is crossed" in slate("canary").stdout
    assert "the canary was ended: Its click-through" in slate("sync").stdout
    assert "Ended. Its click-through" in slate("canary").stdout


def test_the_table_and_the_json_say_the_same(slate, studio: Studio) -> None:
    visited(studio, degraded_share=(0.1, 0.1))
    told = json.loads(slate("canary", "--json").stdout)
    text = slate("canary").stdout
    arms = told["arms"]
    assert arms["production"]["people"] + arms["canary"]["people"] == 2000
    for arm in arms.values():
        assert f"{arm['click_through_request']['value']:.2%}" in text
        assert 0.05 < arm["degraded_share"]["value"] < 0.15
        assert (arm["distinct_items"], arm["mean_propensity"], arm["tiers"]) == (2, 1, {"personal": arm["requests"]})
    assert told["differences"]["click_through_request"]["value"] == pytest.approx(
        arms["canary"]["click_through_request"]["value"] - arms["production"]["click_through_request"]["value"]
    )
    (period,) = told["sample_ratio"]["segments"]
    assert (period["share"], period["production"] + period["canary"]) == (0.4, 2000)
    assert not told["sample_ratio"]["alarm"]
    assert [check["name"] for check in told["guard"]] == ["sample_ratio", "degraded", "clicks"]
    assert not any(check["crossed"] for check in told["guard"])


def test_the_page_is_one_file_with_the_plot_in_it(slate, studio: Studio) -> None:
    visited(studio)
    page = Path(json.loads(slate("canary", "--json").stdout)["page"])
    release_id = studio.registry.version(2).release_id
    assert page == studio.home.root / "reports" / "canary" / f"{release_id}.html"
    text = page.read_text()
    drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + len("</svg>")])
    words = " ".join("".join(element.itertext()) for element in drawing.iter() if element.tag.endswith("text"))
    assert "people in the canary so far" in words
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "requests with a click" in text


def test_the_guard_s_interval_closes_along_the_way(studio: Studio) -> None:
    visited(studio)
    with closing(connect(studio.redis_url)) as client:
        from release.canary.canary_run import last_run

        run = last_run(studio.promoter.journal.view())
        report, trail = read_report(
            client, studio.app, run, studio.settings.promotion.canary, START + timedelta(hours=1)
        )
    assert [point.n_people for point in trail] == sorted({point.n_people for point in trail})
    assert trail[-1].n_people == report.canary.n_people
    widths = [point.high - point.low for point in trail]
    assert widths == sorted(widths, reverse=True)
