"""Tables for people: every cell below the name of its column."""

from cli.output import aligned, table


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
