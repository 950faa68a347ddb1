from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ArtefactError
from release.evaluation.cases import COLD_POPULAR, WARM
from release.evaluation.evaluation import evaluate
from release.evaluation.judge import Judge, category_vectors
from release.evaluation.page import page, write_page
from release.evaluation.report import Tracing, write_report
from release.evaluation.stage_summary import ItemBands
from release.evaluation.summary import Bootstrap
from tests.unit.release.evaluation.test_wanted_items import HISTORIES, case
from tests.unit.release.made_up_release import N_ITEMS, NOW, made_up_reader, made_up_release


@pytest.fixture
def report(tmp_path: Path) -> Path:
    release = made_up_release()
    items = release.catalogue
    judge = Judge((10, 20), items.ids, np.full(N_ITEMS, 0.25, np.float32), category_vectors(items))
    groups = {WARM: (case("u1", [11, 3]), case("u2", [9])), COLD_POPULAR: (case(None, [0]),)}
    found = evaluate(release, made_up_reader(HISTORIES), groups, judge)
    tracing = Tracing(ItemBands({"the rest": np.ones(N_ITEMS, bool)}), {"popular": 12})
    window = (NOW, NOW + timedelta(days=1))
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, found, Bootstrap(100, 7), "ndcg_at_10", window, {}, ["als <b>idles</b>"], tracing)
    return folder


@pytest.fixture
def ranker(tmp_path: Path) -> Path:
    folder = tmp_path / "ranker"
    folder.mkdir()
    (folder / "importance.csv").write_text("feature,share_of_gain\nscore_als,0.75\nuser_event_count,0.25\n")
    (folder / "learning_curve.csv").write_text("trees,training_ndcg,held_back_ndcg\n1,0.2,0.1\n2,0.3,0.25\n3,0.4,0.2\n")
    return folder


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html.partition("<body>")[2]))


def test_it_says_what_the_files_beside_it_say(report: Path, ranker: Path) -> None:
    told = text_of(page(report, ranker))
    metrics = json.loads((report / "metrics.json").read_bytes())
    assert f"NDCG@10 {metrics['headline']['ndcg_at_10']:.3f}" in told
    warm = metrics["stages"][WARM]
    assert f"candidates {100 * warm['candidates']:.1f}%" in told
    assert f"in ranking {100 * warm['missed_at_10']['ranking']:.1f}%" in told
    assert "personal: 2 with a history" in told
    assert "popular: 1 strangers" in told
    popular = metrics["generators"]["popular"]
    assert f"popular 12 {100 * popular['alone']:.1f}%" in told
    assert "best with 2 trees (0.250)" in told
    assert "score_als 75.0% user_event_count 25.0%" in told
    assert f"ndcg_at_20 {metrics[WARM]['ndcg_at_20']:.3f}" in told


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(report: Path, ranker: Path) -> None:
    html = page(report, ranker)
    assert not re.search(r"<script|<link|<img|src=|https?:|url\(", html)


def test_what_a_note_says_is_text(report: Path, ranker: Path) -> None:
    assert "als &lt;b&gt;idles&lt;/b&gt;" in page(report, ranker)


def test_every_system_stands_in_the_plot_with_its_number(report: Path, ranker: Path) -> None:
    html = page(report, ranker)
    numbers = [int(number) for number in re.findall(r"<li>|<text class=\"number[^>]*>(\d+)</text>", html) if number]
    names = re.findall(r"<li>([^<]+)</li>", html)
    assert sorted(numbers) == list(range(1, len(names) + 1))
    assert {"slates", "popular", "covisitation"} <= set(names)


def test_where_slates_are_diversified_it_says_what_that_costs(report: Path, ranker: Path) -> None:
    assert "What diversity costs" not in page(report, ranker)
    header = "budget,is_served,ndcg,gain,gain_low,gain_high,diversity,miscalibration,novelty,coverage,gini\n"
    rows = "0.0,false,0.3,0,0,0,0.5,,2,0.1,0.5\n0.05,true,0.29,-0.01,-0.02,0.0,0.7,,2,0.2,0.4\n"
    (report / "diversity.csv").write_text(header + rows)
    told = text_of(page(report, ranker))
    assert "What diversity costs" in told
    assert "5%, served 0.290 -0.010 [-0.020, +0.000] 0.700 0.200" in told


def test_a_ranker_without_a_curve_leaves_the_rest_of_the_page(report: Path, ranker: Path) -> None:
    (ranker / "learning_curve.csv").unlink()
    assert "This ranker tells no learning curve." in page(report, ranker)


def test_equal_files_give_equal_pages(report: Path, ranker: Path) -> None:
    assert write_page(report, ranker).read_text(encoding="utf-8") == page(report, ranker)


def test_damaged_slices_are_an_error_that_names_the_file(report: Path, ranker: Path) -> None:
    (report / "slices.json").write_text("[")
    with pytest.raises(ArtefactError, match=r"slices\.json is damaged"):
        page(report, ranker)
