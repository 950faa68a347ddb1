"""The first page on a narrow screen, in a real browser's layout where one is here, else by its markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace

from contracts.web_page import render_page


def start_page(problem: str | None = None) -> str:
    release = SimpleNamespace(catalogue=SimpleNamespace(ids=range(12_345)))
    served = SimpleNamespace(arm="production", release_id="r-0123456789ab", generation_id="f" * 16, release=release)
    return render_page(
        "serving.http",
        "start.html",
        title="giftshop - Slatework",
        app="giftshop",
        arms=[served],
        epoch=3,
        clock="wall",
        now=datetime(2024, 1, 31, tzinfo=UTC),
        problem=problem,
        neighbours=[("MLflow", "releases", "http://127.0.0.1:5000")],
    )


def test_every_table_scrolls_in_itself_so_that_the_page_is_never_wider_than_the_screen() -> None:
    page = start_page()
    assert len(re.findall(r"<table>", page)) == len(re.findall(r'<div class="scroll"><table>', page)) == 1


def test_the_page_names_the_application_and_writes_counts_for_people() -> None:
    page = start_page()
    assert "<h1>giftshop</h1>" in page
    assert "<title>giftshop - Slatework</title>" in page
    assert "12,345" in page
