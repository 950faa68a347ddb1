"""What a mapping can say about an export: which rows count, what they are, and what they say of items and people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from contracts.errors import SourceError
from contracts.settings.files import Files
from contracts.tables import CanonicalTables
from sources.canonical.ingest_report import IngestReport
from sources.files.export_reader import write_tables
from tests.unit.sources.exports import write

ORDERS = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID
536365,85123A,White lantern,6,2011-01-03T08:26:00Z,2.5,17850.0
536365,22111,Cosy,2,2011-01-03T08:26:00Z,4.0,17850.0
536366,22111,Tea cosy,1,2011-01-03T09:00:00Z,4.5,
C536367,85123A,White lantern,-6,2011-01-04T10:00:00Z,2.5,17850.0
536368,POST,POSTAGE,1,2011-01-04T11:00:00Z,18.0,13047.0
536369,22111,,1,2011-01-05T11:00:00Z,-1,13047.0
"""
COLUMNS = {
    "user_id": "CustomerID", "item_id": "StockCode", "event_ts": "InvoiceDate", "session_id": "InvoiceNo",
    "value": "UnitPrice", "quantity": "Quantity",
}  # fmt: skip
SHOP = {"path": "orders.csv", "event_type": "purchase", "columns": COLUMNS}
RETURNS = [{"column": "Quantity", "operator": "below", "value": 0}]


def ingest(root: Path, out: Path, interactions: Any, **tables: Any) -> tuple[CanonicalTables, IngestReport]:
    report = write_tables(Files.model_validate({"interactions": interactions, **tables}), str(root), out)
    return CanonicalTables.load(out), report


def people_and_items(tables: CanonicalTables) -> list[tuple[str, str]]:
    return tables.interactions.select("user_id", "item_id").rows()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "in", {"orders.csv": ORDERS})


def test_ids_that_are_all_whole_floats_lose_their_point(root: Path, out: Path) -> None:
    tables, _ = ingest(root, out, SHOP)
    assert set(tables.interactions["user_id"]) == {"17850", "13047", None}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (["17850.0", "13047.0", None], ["17850", "13047"]),
        (["17850.0", "13047.5", None], ["17850.0", "13047.5"]),
        (["17850", "13047", None], ["17850", "13047"]),
    ],
)
def test_they_read_alike_in_every_format(
    tmp_path: Path, out: Path, ending: str, ids: list[str | None], read: list[str]
) -> None:
    numbers = [None if one is None else json.loads(one) for one in ids]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"e.{ending}"
    if ending == "parquet":
        pl.DataFrame({"u": pl.Series(numbers, strict=False), "i": "a", "t": 1_600_000_000}).write_parquet(path)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps({"u": one, "i": "a", "t": 1_600_000_000}) + "\n" for one in numbers))
    else:
        path.write_text("u,i,t\n" + "".join(f"{one or ''},a,1600000000\n" for one in ids))
    columns = {"user_id": "u", "item_id": "i", "event_ts": "t"}
    tables, _ = ingest(tmp_path / "in", out, {"event_type": "view", "time_unit": "s", "columns": columns})
    assert sorted(tables.interactions["user_id"].drop_nulls()) == sorted(read)


def test_one_person_stays_one_whichever_file_has_a_word_or_a_plain_number_beside_the_floats(
    root: Path, out: Path
) -> None:
    write(root, {"b.csv": ORDERS.replace("13047.0", "K5"), "c.csv": ORDERS.replace("17850.0", "17850")})
    tables, report = ingest(root, out, SHOP | {"path": "*.csv", "null_words": ["NA"]})
    assert set(tables.interactions["user_id"]) == {"17850", "13047", "K5", None}
    assert report.ids == {
        "CustomerID": "ids such as 17850.0 are read without the point; others, such as K5, are read as they are"
    }


def test_a_word_for_no_customer_keeps_no_point(root: Path, out: Path) -> None:
    write(root, {"orders.csv": ORDERS.replace("4.5,", "4.5,NA")})
    tables, report = ingest(root, out, SHOP | {"null_words": ["NA"]})
    assert set(tables.interactions["user_id"]) == {"17850", "13047", None}
    assert report.ids == {"CustomerID": "ids such as 17850.0 are read without the point"}


@pytest.mark.parametrize("files", [("a.csv", "z.csv"), ("z.csv", "a.csv")])
def test_one_number_with_a_fraction_keeps_every_point_whichever_file_comes_first(
    tmp_path: Path, out: Path, files: tuple[str, str]
) -> None:
    head, row = "u,i,t\n", "{},a,1600000000\n"
    root = write(tmp_path / "in", {files[0]: head + row.format("1.0"), files[1]: head + row.format("1.5")})
    columns = {"user_id": "u", "item_id": "i", "event_ts": "t"}
    tables, report = ingest(root, out, {"event_type": "view", "time_unit": "s", "columns": columns})
    assert sorted(tables.interactions["user_id"]) == ["1.0", "1.5"]
    assert report.rows["interactions"] == 2
    assert report.ids == {"u": "1.0 keeps its point, since not all ids with one are whole numbers: 1.5"}


def test_items_are_the_same_in_the_rows_of_interactions_and_in_their_own_file(root: Path, out: Path) -> None:
    write(root, {"items.csv": "sku,name\n22111.0,Cosy\nPOST,Postage\n", "new.csv": ORDERS.replace("22111", "22111.0")})
    mapping = SHOP | {"path": "new.csv"}
    tables, _ = ingest(root, out, mapping, items={"path": "items.csv", "columns": {"item_id": "sku", "title": "name"}})
    assert set(tables.items["item_id"]) == {"22111", "POST"}
    assert set(tables.interactions["item_id"]) == {"85123A", "22111", "POST"}


def test_one_person_stays_one_in_two_mappings_that_write_ids_otherwise(root: Path, out: Path) -> None:
    write(root, {"views.csv": "who,what,at\n17850,85123A,1600000000\nK5,85123A,1600000001\n"})
    columns = {"user_id": "who", "item_id": "what", "event_ts": "at"}
    views = {"path": "views.csv", "event_type": "view", "time_unit": "s", "columns": columns}
    tables, _ = ingest(root, out, [views, SHOP])
    assert set(tables.users["user_id"]) == {"17850", "13047", "K5"}
    write(root, {"views.csv": "who,what,at\n1.5,85123A,1600000000\n"})
    tables, _ = ingest(root, out, [SHOP, views])
    assert set(tables.users["user_id"]) == {"17850.0", "13047.0", "1.5"}


def test_whole_ids_of_a_mapping_overrule_what_the_files_show(root: Path, out: Path) -> None:
    tables, _ = ingest(root, out, SHOP | {"whole_ids": False})
    assert set(tables.interactions["user_id"]) == {"17850.0", "13047.0", None}


def test_a_number_beyond_64_bits_keeps_its_digits_in_json_lines(tmp_path: Path, out: Path) -> None:
    rows = [f'{{"u": {number}, "i": "a", "t": 1600000000}}\n' for number in (10**20 + 1, 10**20 + 2, 5)]
    root = write(tmp_path / "in", {"e.jsonl": "".join(rows)})
    columns = {"user_id": "u", "item_id": "i", "event_ts": "t"}
    tables, _ = ingest(root, out, {"event_type": "view", "time_unit": "s", "columns": columns})
    assert set(tables.users["user_id"]) == {"100000000000000000001", "100000000000000000002", "5"}


def test_a_row_of_nobody_belongs_to_the_guest_of_its_session(root: Path, out: Path) -> None:
    tables, report = ingest(root, out, SHOP | {"anonymous": "session"})
    assert "session:536366" in set(tables.users["user_id"])
    assert tables.interactions["user_id"].null_count() == 0
    assert report.counts["guests' rows"] == 1


def test_the_people_of_a_file_and_the_guests_beside_them_are_told_apart(root: Path, out: Path) -> None:
    (root / "people.csv").write_text("customer\n17850\n")
    people = {"path": "people.csv", "columns": {"user_id": "customer"}}
    tables, report = ingest(root, out, SHOP | {"anonymous": "session"}, users=people)
    assert set(tables.users["user_id"]) == {"17850", "session:536366"}
    assert "1 users from 1 file, and 1 guest of the interactions: 2 together" in str(report)


def test_what_went_back_is_a_return_and_its_value_is_what_it_had_cost(root: Path, out: Path) -> None:
    tables, report = ingest(root, out, SHOP | {"returns": RETURNS})
    events = tables.interactions.filter(item_id="85123A").select("event_type", "value").rows()
    assert events == [("purchase", 6 * 2.5), ("return", 6 * 2.5)]
    assert report.counts["returns"] == 1


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"operator": "equals", "value": 6, "column": "Quantity"}, ["85123A"]),
        ({"operator": "differs_from", "value": 1, "column": "Quantity"}, ["22111", "85123A", "85123A"]),
        ({"operator": "one_of", "value": ["POST", "M"], "column": "StockCode"}, ["POST"]),
        ({"operator": "none_of", "value": ["22111", 1], "column": "StockCode"}, ["85123A", "85123A", "POST"]),
        ({"operator": "starts_with", "value": "C", "column": "InvoiceNo"}, ["85123A"]),
        ({"operator": "matches", "value": r"^\d+[A-Z]$", "column": "StockCode"}, ["85123A", "85123A"]),
        ({"operator": "below", "value": 0, "column": "UnitPrice"}, ["22111"]),
        ({"operator": "at_most", "value": -1, "column": "UnitPrice"}, ["22111"]),
        ({"operator": "above", "value": 4.5, "column": "UnitPrice"}, ["POST"]),
        ({"operator": "at_least", "value": 4.5, "column": "UnitPrice"}, ["22111", "POST"]),
        ({"operator": "is_empty", "column": "Description"}, ["22111"]),
        ({"operator": "is_filled", "column": "CustomerID"}, ["22111", "22111", "85123A", "85123A", "POST"]),
    ],
)
def test_where_keeps_what_drop_leaves_out_and_both_are_counted(
    root: Path, out: Path, condition: dict[str, Any], kept: list[str]
) -> None:
    tables, report = ingest(root, out, SHOP | {"where": [condition]})
    assert sorted(item for _, item in people_and_items(tables)) == kept
    assert sum(report.conditions["interactions"].values()) == 6 - len(kept)
    if len(kept) < 6:
        tables, report = ingest(root, out, SHOP | {"drop": [condition]})
        assert len(tables.interactions) == 6 - len(kept)
        assert list(report.conditions["interactions"].values()) == [len(kept)]
        assert next(iter(report.conditions["interactions"])) in str(report)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"column": "a", "operator": "below", "value": "x"}, "`below` takes a number as value, found 'x'"),
        ({"column": "a", "operator": "one_of", "value": "x"}, "`one_of` takes a list as value"),
        ({"column": "a", "operator": "is_empty", "value": "x"}, "`is_empty` takes no value"),
        ({"column": "a", "operator": "equals"}, "`equals` takes a text as value, found None"),
        ({"column": "a", "operator": "like", "value": "x"}, "'equals', 'differs_from'"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(condition: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Files.model_validate({"interactions": SHOP | {"where": [condition]}})


def test_a_column_of_a_condition_that_is_not_there_is_named(root: Path, out: Path) -> None:
    with pytest.raises(SourceError, match="column Menge is missing; found InvoiceNo"):
        ingest(root, out, SHOP | {"drop": [{"column": "Menge", "operator": "is_empty"}]})


def test_items_come_out_of_the_interactions_with_the_latest_cell_that_says_something(root: Path, out: Path) -> None:
    items = {"from": "interactions", "columns": {"title": "Description", "price": "UnitPrice"}}
    tables, report = ingest(root, out, SHOP, items=items)
    assert tables.items.select("item_id", "title", "price").rows() == [
        ("22111", "Tea cosy", 4.5),
        ("85123A", "White lantern", 2.5),
        ("POST", "POSTAGE", 18.0),
    ]
    assert len(tables.interactions) == 6
    assert "the latest title, price that is not empty" in report.made_from_interactions["items"]


def test_the_latest_is_by_time_whatever_the_order_of_files_and_batches(tmp_path: Path, out: Path, monkeypatch) -> None:
    monkeypatch.setattr("sources.canonical.repeats.MANY", 1)
    head, *rows = ORDERS.splitlines()
    days = {f"{number}.csv": f"{head}\n{row}\n" for number, row in zip("fbdace", rows, strict=True)}
    root = write(tmp_path / "in", days)
    items = {"from": "interactions", "columns": {"title": "Description", "price": "UnitPrice"}}
    tables, _ = ingest(root, out, SHOP | {"path": "."}, items=items)
    assert tables.items.filter(item_id="22111").select("title", "price").rows() == [("Tea cosy", 4.5)]


def test_views_in_one_file_and_orders_in_another_are_read_each_by_its_mapping(root: Path, out: Path) -> None:
    write(root, {"views.jsonl": '{"who": {"id": 17850}, "what": "22111", "when": 1294000000}\n'})
    columns = {"user_id": "who.id", "item_id": "what", "event_ts": "when"}
    views = {"path": "views.jsonl", "event_type": "view", "time_unit": "s", "columns": columns}
    tables, report = ingest(root, out, [SHOP, views])
    assert tables.interactions["event_type"].value_counts().sort("event_type").rows() == [("purchase", 6), ("view", 1)]
    assert tables.interactions.filter(event_type="view")["user_id"].to_list() == ["17850"]
    assert report.files["interactions"] == 2


def test_the_second_of_several_mappings_is_named_when_it_is_wrong(root: Path, out: Path) -> None:
    with pytest.raises(ValueError, match=r"interactions\.1\.columns\.user_id"):
        Files.model_validate({"interactions": [SHOP, {"event_type": "view", "columns": {}}]})
    with pytest.raises(SourceError, match="column nobody is missing"):
        ingest(root, out, [SHOP, SHOP | {"columns": COLUMNS | {"user_id": "nobody"}}])


date_time = datetime.fromisoformat  # as Excel has them: without a zone


def excel(path: Path, **sheets: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(exist_ok=True)
    book.save(path)


def test_a_sheet_of_excel_is_read_as_its_cells_are_meant(tmp_path: Path, out: Path) -> None:
    head = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    sold = [536365, "85123A", 6, date_time("2011-01-03 08:26:30"), 2.55, 17850]
    rows = [head, sold, [None] * 6, ["C536366", 22111, -1, date_time("2011-01-04"), 4, None]]
    excel(tmp_path / "in" / "orders.xlsx", Notes=[["nothing"]], Orders=rows)
    mapping = SHOP | {"path": "orders.xlsx", "sheet": "Orders", "time_zone": "UTC", "anonymous": "session"}
    tables, _ = ingest(tmp_path / "in", out, mapping | {"returns": RETURNS})
    assert tables.interactions.drop("request_id").rows() == [
        ("17850", "85123A", "purchase", datetime(2011, 1, 3, 8, 26, 30, tzinfo=UTC), 6 * 2.55, "536365"),
        ("session:C536366", "22111", "return", datetime(2011, 1, 4, tzinfo=UTC), 4.0, "C536366"),
    ]


def test_a_sheet_that_is_not_there_and_a_damaged_file_are_named(tmp_path: Path, out: Path) -> None:
    excel(tmp_path / "in" / "orders.xlsx", Orders=[["a"], [1]])
    with pytest.raises(SourceError, match=r"no sheet `orders`; found Orders(.|\n)*Mend `sheet`"):
        ingest(tmp_path / "in", out, SHOP | {"path": "orders.xlsx", "sheet": "orders"})
    whole = (tmp_path / "in" / "orders.xlsx").read_bytes()
    (tmp_path / "in" / "orders.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"orders\.xlsx is no whole Excel file"):
        ingest(tmp_path / "in", out, SHOP | {"path": "orders.xlsx"})


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv"])
def test_lists_are_exploded_in_step(tmp_path: Path, out: Path, ending: str) -> None:
    baskets = [("u1", ["a", "b"], [1.0, 2.0]), ("u2", ["c"], [3.0]), ("u3", [], [])]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"e.{ending}"
    if ending == "parquet":
        pl.DataFrame(baskets, schema=["u", "i", "v"], orient="row").with_columns(t=1_600_000_000).write_parquet(path)
    elif ending == "jsonl":
        path.write_text("".join(json.dumps({"u": u, "i": i, "v": v, "t": 1_600_000_000}) + "\n" for u, i, v in baskets))
    else:
        path.write_text("u;i;v;t\n" + "".join(f"{u};{i};{v};1600000000\n" for u, i, v in baskets))
    mapping = {"event_type": "view", "time_unit": "s", "explode": ["i", "v"]}
    mapping |= {"separator": ";"} if ending == "csv" else {}
    columns = {"user_id": "u", "item_id": "i", "value": "v", "event_ts": "t"}
    tables, _ = ingest(tmp_path / "in", out, mapping | {"columns": columns})
    assert tables.interactions.select("user_id", "item_id", "value").rows() == [
        ("u1", "a", 1.0), ("u1", "b", 2.0), ("u2", "c", 3.0), ("u3", None, None),
    ]  # fmt: skip


def test_lists_of_one_row_that_do_not_go_in_step_are_refused(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.jsonl": '{"u": "1", "i": ["a", "b"], "v": [1], "t": 1600000000}\n'})
    mapping = {"event_type": "view", "time_unit": "s", "explode": ["i", "v"]}
    columns = {"user_id": "u", "item_id": "i", "value": "v", "event_ts": "t"}
    with pytest.raises(SourceError, match=r"row 1: the lists of `explode` have different lengths: 2 in i, 1 in v"):
        ingest(root, out, mapping | {"columns": columns})


@pytest.mark.parametrize(
    ("cell", "categories"),
    [
        ("['Drama', 'Comedy']", ["Comedy", "Drama"]),
        ('["Drama", "Comedy"]', ["Comedy", "Drama"]),
        ("('Drama',)", ["Drama"]),
        ("('Drama')", ["Drama"]),
        ("{'Drama', 'Comedy'}", ["Comedy", "Drama"]),
        ("set()", []),
        ("frozenset({'Drama'})", ["Drama"]),
        ("[]", []),
        ("['Bob''s', \"Bob's\"]", ["Bob's", "Bobs"]),
        ("[1, 2.5]", ["1", "2.5"]),
        ("Drama|Comedy", ["Comedy", "Drama"]),
        ("[Drama|Comedy", ["Comedy", "[Drama"]),
        ("['Drama', ['Comedy']]", ["['Drama', ['Comedy']]"]),
    ],
)
def test_categories_are_read_as_json_and_python_write_them(
    root: Path, out: Path, cell: str, categories: list[str]
) -> None:
    write(root, {"items.tsv": f"id\tgenres\n22111\t{cell}\n85123A\tx\nPOST\t\n"})
    items = {"path": "items.tsv", "quoted": False, "columns": {"item_id": "id", "categories": "genres"}}
    tables, _ = ingest(root, out, SHOP, items=items)
    assert tables.items.filter(item_id="22111")["categories"].to_list() == [categories]


def test_of_repeated_items_a_bad_row_never_takes_the_good_one_with_it(root: Path, out: Path) -> None:
    write(root, {"items.csv": "id,name,price\n22111,Red mug,5\n85123A,x,1\n22111,,0\nPOST,Post,\nPOST,,-3\n"})
    items = {"path": "items.csv", "columns": {"item_id": "id", "title": "name", "price": "price"}}
    tables, report = ingest(root, out, SHOP, items=items)
    assert tables.items.select("item_id", "title", "price").rows() == [
        ("22111", "Red mug", 0.0), ("85123A", "x", 1.0), ("POST", "Post", -3.0),
    ]  # fmt: skip
    assert report.counts["items that repeat an id"] == 2


def test_without_a_time_column_the_files_names_or_a_moment_give_one(tmp_path: Path, out: Path) -> None:
    ratings = "u,i,r\n1,a,5\n"
    root = write(tmp_path / "in", {"ratings-2024-01-31.csv": ratings, "ratings_20240201.csv": ratings})
    mapping = {"event_type": "rating", "columns": {"user_id": "u", "item_id": "i", "value": "r"}}
    tables, _ = ingest(root, out, mapping | {"event_ts": "file_name", "time_zone": "Europe/Berlin"})
    assert tables.interactions["event_ts"].to_list() == [
        datetime(2024, 1, 30, 23, tzinfo=UTC), datetime(2024, 1, 31, 23, tzinfo=UTC),
    ]  # fmt: skip
    tables, _ = ingest(root, out, mapping | {"event_ts": "2024-05-01T12:00:00+02:00"})
    assert set(tables.interactions["event_ts"]) == {datetime(2024, 5, 1, 10, tzinfo=UTC)}
    with pytest.raises(ValueError, match=r"set one of `columns\.event_ts`"):
        Files.model_validate({"interactions": mapping})
    write(root, {"more.csv": ratings})
    with pytest.raises(SourceError, match=r"more\.csv has no date in its name"):
        ingest(root, out, mapping | {"event_ts": "file_name"})


def test_of_rows_that_come_out_of_one_list_each_is_itself(tmp_path: Path, out: Path) -> None:
    basket = {
        "u": "1",
        "i": ["a", "b", "c"],
        "n": [1, -2, 3],
        "what": ["Mug", "Cup", "Jug"],
        "p": 2.0,
        "t": 1_600_000_000,
    }
    root = write(tmp_path / "in", {"e.jsonl": json.dumps(basket) + "\n"})
    columns = {"user_id": "u", "item_id": "i", "event_ts": "t", "value": "p", "quantity": "n"}
    mapping = {"event_type": "purchase", "time_unit": "s", "explode": ["i", "n", "what"], "columns": columns}
    returns = [{"column": "n", "operator": "below", "value": 0}]
    items = {"from": "interactions", "columns": {"title": "what"}}
    tables, _ = ingest(root, out, mapping | {"returns": returns}, items=items)
    assert tables.interactions.select("item_id", "event_type", "value").rows() == [
        ("a", "purchase", 2.0), ("b", "return", 4.0), ("c", "purchase", 6.0),
    ]  # fmt: skip
    assert tables.items.select("item_id", "title").rows() == [("a", "Mug"), ("b", "Cup"), ("c", "Jug")]


def test_a_return_of_a_negative_total_has_the_value_that_came_back(root: Path, out: Path) -> None:
    write(root, {"orders.csv": ORDERS.replace("-6,2011-01-04T10:00:00Z,2.5", "-6,2011-01-04T10:00:00Z,-15.0")})
    columns = {name: column for name, column in COLUMNS.items() if name != "quantity"}
    tables, _ = ingest(root, out, SHOP | {"columns": columns, "returns": RETURNS})
    assert tables.interactions.filter(event_type="return")["value"].to_list() == [15.0]


def test_an_item_that_no_row_names_is_called_by_its_id_and_keeps_its_events(root: Path, out: Path) -> None:
    write(root, {"orders.csv": ORDERS.replace("POSTAGE", "")})
    items = {"from": "interactions", "columns": {"title": "Description"}}
    tables, _ = ingest(root, out, SHOP, items=items)
    assert tables.items.filter(item_id="POST")["title"].to_list() == ["POST"]


def test_a_regular_expression_that_is_none_is_named(root: Path, out: Path) -> None:
    condition = {"column": "StockCode", "operator": "matches", "value": "[A-"}
    with pytest.raises(SourceError, match=r"The condition `StockCode matches \[A-` cannot be asked(.|\n)*starts_with"):
        ingest(root, out, SHOP | {"drop": [condition]})
