"""Tables for people: every cell below the name of its column."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.output import aligned, print_json, table


def test_a_table_has_its_columns_in_the_order_asked_and_nothing_where_a_row_has_nothing():
    rows = [{"version": 7, "stage": None, "hidden": "x"}, {"version": 12, "stage": "Production", "hidden": "x"}]
    assert table(rows, ("version", "stage")).split("\n") == [
        "version  stage",
        "7",
        "12       Production",
    ]


def test_a_table_without_rows_is_empty():
    assert table([], ("version",)) == ""
    assert aligned([]) == ""


def test_numbers_end_at_the_same_place():
    lines = [("tier", "requests", "RBO"), ("all", 12, "0.9"), ("personal", 3, "")]
    assert aligned(lines, n_left=1, indent="  ").split("\n") == [
        "  tier      requests  RBO",
        "  all             12  0.9",
        "  personal         3",
    ]


def test_json_for_programs_is_one_line_with_its_keys_sorted(capsys: pytest.CaptureFixture[str]):
    print_json({"b": [1, 2], "a": None})
    assert capsys.readouterr().out == '{"a": null, "b": [1, 2]}\n'


def test_json_for_people_keeps_the_order_and_the_letters_given(capsys: pytest.CaptureFixture[str]):
    print_json({"title": "Küche", "at": datetime(2026, 1, 2, tzinfo=UTC)}, indented=True)
    assert capsys.readouterr().out == '{\n "title": "Küche",\n "at": "2026-01-02 00:00:00+00:00"\n}\n'


def test_what_has_no_form_in_json_is_no_text_by_accident():
    with pytest.raises(TypeError, match="no form in JSON"):
        print_json({"path": object()})
