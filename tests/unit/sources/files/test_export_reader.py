"""A team's own export becomes the canonical tables, however it is written and wherever it lies."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import SourceError
from contracts.settings.files import Files
from contracts.tables import SCHEMAS, CanonicalTables
from sources.canonical.ingest_report import IngestReport
from sources.canonical.origins import Origins
from sources.canonical.refusals import load_refusals
from sources.files.cells import yes_or_no
from sources.files.export_reader import write_tables
from tests.unit.sources.exports import COLUMNS, ROWS, as_csv, as_jsonl, as_parquet, files, write

STORY = [
    ("007", "A-1", "view", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None),
    ("007", "B-2", "view", datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC), None),
    ("7", "A-1", "purchase", datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC), 12.5),
    ("Zoë", "A-1", "purchase", datetime(2023, 11, 15, 22, 13, 20, tzinfo=UTC), 3.0),
]


def ingest(mapping: Files, root: Path | str, out: Path) -> IngestReport:
    shutil.rmtree(out)
    out.mkdir()
    return write_tables(mapping, str(root), out)


def story(out: Path) -> list[tuple[Any, ...]]:
    table = CanonicalTables.load(out).interactions
    assert table.schema == SCHEMAS["interactions"]
    return table.select("user_id", "item_id", "event_type", "event_ts", "value").rows()


def digests(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): _digest(path) for path in out.rglob("*") if path.is_file()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("e.csv", as_csv(), {}),
        ("e.txt", as_csv(separator=";"), {"separator": ";"}),
        ("e.csv", as_csv(separator="|"), {"separator": "|"}),
        ("e.tsv", as_csv(separator="\t"), {}),
        ("e.jsonl", as_jsonl(), {}),
        ("e.ndjson", as_jsonl(), {}),
        ("e.csv", as_csv().encode("latin-1"), {"encoding": "latin-1"}),
        ("e.csv", as_csv().encode("utf-16"), {"encoding": "utf-16"}),
        ("e.csv", as_csv().encode("utf-8-sig"), {}),
        ("e.csv", as_csv().replace("\n", "\r\n"), {}),
        ("e.csv", as_csv().replace("\n", "\n\n"), {}),
        ("e.csv", as_csv().replace("A-1", '"A-1"'), {}),
    ],
)
def test_every_way_of_writing_tells_the_same_story(
    tmp_path: Path, out: Path, name: str, content: str | bytes, said: dict[str, Any], compression: str
) -> None:
    root = write(tmp_path / "in", {name + compression: content})
    ingest(files(path=name + compression, **said), root, out)
    assert story(out) == STORY


def test_parquet_tells_the_same_story_with_numbers_as_ids_too(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {})
    root.mkdir()
    as_parquet(root / "e.parquet")
    ingest(files(), root, out)
    assert story(out) == STORY
    as_parquet(root / "e.parquet", [(int(index), float(index), *row[2:]) for index, row in enumerate(ROWS, start=10)])
    ingest(files(), root, out)
    assert [row[:2] for row in story(out)] == [("10", "10"), ("11", "11"), ("12", "12"), ("13", "13")]


def test_dots_lead_into_the_objects_of_json_lines(tmp_path: Path, out: Path) -> None:
    line = '{"user": {"id": "007"}, "item": {"sku no": 12}, "at": 1700000000, "did": "seen"}\n'
    columns = {"user_id": "user.id", "item_id": "item.sku no", "event_ts": "at", "event_type": "did"}
    ingest(files(columns=columns), write(tmp_path / "in", {"e.jsonl": line}), out)
    assert [row[:2] for row in story(out)] == [("007", "12")]


def test_ids_stay_texts_with_their_zeros_and_blanks(tmp_path: Path, out: Path) -> None:
    rows = [
        (who, "0", "seen", 1_700_000_000 + place, None) for place, who in enumerate(["007", "7", "1e3", " x", "0x1f"])
    ]
    ingest(files(), write(tmp_path / "in", {"e.csv": as_csv(rows)}), out)
    assert [row[0] for row in story(out)] == ["007", "7", "1e3", " x", "0x1f"]


MOMENT = datetime(2024, 1, 31, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1706698800", {"time_unit": "s"}),
        ("1706698800.0", {"time_unit": "s"}),
        ("1706698800000", {"time_unit": "ms"}),
        ("1706698800000000", {"time_unit": "us"}),
        ("2024-01-31T11:00:00Z", {"time_unit": "iso"}),
        ("2024-01-31T12:00:00+01:00", {"time_unit": "iso"}),
        ("2024-01-31 12:00:00.000+0100", {"time_unit": "iso"}),
        ("2024-01-31 11:00:00 UTC", {"time_unit": "iso"}),
        ("2024-01-31T11:00Z", {"time_unit": "iso"}),
        ("2024-01-31 12:00:00", {"time_unit": "iso", "time_zone": "Europe/Berlin"}),
        ("2024-01-31T11:00", {"time_unit": "iso", "time_zone": "UTC"}),
        ("31.01.2024 12:00", {"time_format": "%d.%m.%Y %H:%M", "time_zone": "Europe/Berlin"}),
        ("31.01.2024 12:00 +0100", {"time_format": "%d.%m.%Y %H:%M %z"}),
    ],
)
def test_a_moment_is_the_same_however_it_is_written(
    tmp_path: Path, out: Path, written: str, said: dict[str, Any]
) -> None:
    ingest(files(**said), write(tmp_path / "in", {"e.csv": as_csv([("1", "2", "seen", written, None)])}), out)
    assert story(out)[0][3] == MOMENT


def test_a_day_without_a_time_begins_at_midnight_of_its_zone(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.csv": as_csv([("1", "2", "seen", "2024-01-31", None)])})
    ingest(files(time_unit="iso", time_zone="Europe/Berlin"), root, out)
    assert story(out)[0][3] == datetime(2024, 1, 30, 23, tzinfo=UTC)


def test_the_hour_that_a_change_of_clocks_leaves_out_is_no_time_and_the_repeated_one_is_the_first(
    tmp_path: Path, out: Path
) -> None:
    moments = ["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-06-01 00:00:00", "2024-06-02 00:00:00"]
    root = write(tmp_path / "in", {"e.csv": as_csv([("1", "2", "seen", moment, None) for moment in moments])})
    report = ingest(files(time_unit="iso", time_zone="Europe/Berlin"), root, out)
    assert report.refused == {"interactions": 1}
    (refused,) = load_refusals(out).iter_rows(named=True)
    assert refused["found"] == "2024-03-31 02:30:00"
    assert refused["reason"].startswith("there is no such time in Europe/Berlin: the clocks went forward")
    assert story(out)[-1][3] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)


def test_a_comma_may_be_decimal_and_a_dot_part_thousands(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.csv": as_csv([("1", "2", "bought", 1_700_000_000, "1.234,50")], separator=";")})
    ingest(files(separator=";", decimal=","), root, out)
    assert story(out)[0][4] == 1234.5


def test_words_are_mapped_left_out_or_kept_for_validation_to_judge(tmp_path: Path, out: Path) -> None:
    words = ["seen", "heartbeat", "click", "teleport", "heartbeat"]
    rows = [("1", "2", word, 1_700_000_000 + place, None) for place, word in enumerate(words)]
    mapping = files(event_types={"seen": "view", "heartbeat": None})
    report = ingest(mapping, write(tmp_path / "in", {"e.csv": as_csv(rows)}), out)
    assert [row[2] for row in story(out)] == ["view", "click", "teleport"]
    assert report.left_out == {"heartbeat": 2}
    assert "heartbeat 2" in str(report)


def test_one_type_may_hold_for_every_row(tmp_path: Path, out: Path) -> None:
    columns = {"user_id": "who", "item_id": "what", "event_ts": "at"}
    ingest(files(columns=columns, event_type="purchase"), write(tmp_path / "in", {"e.csv": as_csv()}), out)
    assert {row[2] for row in story(out)} == {"purchase"}


def test_items_and_people_that_no_file_describes_are_derived_and_the_report_says_so(tmp_path: Path, out: Path) -> None:
    report = ingest(files(), write(tmp_path / "in", {"e.csv": as_csv()}), out)
    tables = CanonicalTables.load(out)
    assert tables.items.select("item_id", "title").rows() == [("A-1", "A-1"), ("B-2", "B-2")]
    assert tables.users["user_id"].to_list() == ["007", "7", "Zoë"]
    assert {name: getattr(tables, name).schema for name in SCHEMAS} == SCHEMAS
    assert set(report.made_from_interactions) == {"items", "users"}
    assert report.to_json()["derived"] == report.made_from_interactions  # the name that programs know it by
    assert "2 items, derived from the interactions" in str(report)


@pytest.mark.parametrize("key", ["alter", "Größe", "Gr\\u00f6\\u00dfe"])
def test_a_json_key_that_is_always_null_is_there_however_it_is_written(tmp_path: Path, out: Path, key: str) -> None:
    people = f'{{"id": "007", "{key}": null}}\n{{"id": "7", "{key}": null}}\n'
    mapping = files(
        path="e.csv", users={"path": "p.jsonl", "columns": {"user_id": "id", "age": json.loads(f'"{key}"')}}
    )
    ingest(mapping, write(tmp_path / "in", {"e.csv": as_csv(), "p.jsonl": people}), out)
    assert CanonicalTables.load(out).users.filter(user_id="007")["age"].to_list() == [None]


def test_items_and_people_are_read_with_their_own_mapping(tmp_path: Path, out: Path) -> None:
    goods = "sku;name;groups;price;since\nA-1;Spade;Garden/ Tools/;9,90;01.02.2023\nB-2;Pan;Kitchen;;\n"
    people = '{"id": "007", "age": 30, "sex": "F"}\n{"id": "7", "age": null, "sex": null}\n{"id": "Zoë", "age": 41}\n'
    mapping = files(
        path="e.csv",
        items={
            "path": "goods.csv",
            "separator": ";",
            "decimal": ",",
            "time_format": "%d.%m.%Y",
            "time_zone": "UTC",
            "category_separator": "/",
            "columns": {
                "item_id": "sku",
                "title": "name",
                "categories": "groups",
                "price": "price",
                "created_ts": "since",
            },
        },
        users={"path": "people.jsonl", "columns": {"user_id": "id", "age": "age", "gender": "sex"}},
    )
    root = write(tmp_path / "in", {"e.csv": as_csv(), "goods.csv": goods, "people.jsonl": people})
    report = ingest(mapping, root, out)
    tables = CanonicalTables.load(out)
    assert tables.items.select("item_id", "title", "categories", "price", "created_ts").rows() == [
        ("A-1", "Spade", ["Garden", "Tools"], 9.9, datetime(2023, 2, 1, tzinfo=UTC)),
        ("B-2", "Pan", ["Kitchen"], None, None),
    ]
    assert tables.users.select("user_id", "age", "gender").rows() == [
        ("007", 30, "F"),
        ("7", None, None),
        ("Zoë", 41, None),
    ]
    assert report.made_from_interactions == {}


def test_stock_and_free_attributes_of_items_are_read(tmp_path: Path, out: Path) -> None:
    goods = "sku;left;Farbe;kg;vegan\nA-1;3;rot;1,5;ja\nB-2;0;;;nein\nC-3;;blau;?;\n"
    items = {
        "path": "goods.csv",
        "separator": ";",
        "decimal": ",",
        "columns": {"item_id": "sku", "in_stock": "left"},
        "attributes": {
            "colour": "Farbe",
            "weight": {"column": "kg", "type": "number"},
            "vegan": {"column": "vegan", "type": "boolean"},
        },
    }
    root = write(tmp_path / "in", {"e.csv": as_csv(), "goods.csv": goods})
    report = ingest(files(path="e.csv", items=items), root, out)
    assert CanonicalTables.load(out).items.select("item_id", "in_stock", "attributes").rows() == [
        ("A-1", True, '{"colour":"rot","vegan":true,"weight":1.5}'),
        ("B-2", False, '{"vegan":false}'),
    ]
    assert report.refused == {"items": 1}
    assert load_refusals(out)["column"].to_list() == ["kg"]


def test_rows_of_interactions_say_attributes_of_their_items_too(tmp_path: Path, out: Path) -> None:
    rows = "who,what,at,brand,left\n1,A,1700000000,Acme,yes\n1,A,1700000060,,no\n2,B,1700000060,,\n"
    columns = {"user_id": "who", "item_id": "what", "event_ts": "at"}
    items = {"from": "interactions", "columns": {"in_stock": "left"}, "attributes": {"brand": "brand"}}
    mapping = {"path": "e.csv", "time_unit": "s", "event_type": "view", "columns": columns}
    root = write(tmp_path / "in", {"e.csv": rows})
    ingest(Files.model_validate({"interactions": mapping, "items": items}), root, out)
    assert CanonicalTables.load(out).items.select("item_id", "in_stock", "attributes").rows() == [
        ("A", False, '{"brand":"Acme"}'),
        ("B", None, None),
    ]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["in stock", "OutOfStock", "https://schema.org/InStock", "", "preorder"], [True, False, True, None, None]),
        (["12", "0", "-1", "1,5"], [True, False, False, True]),
        ([True, False, None], [True, False, None]),
        ([3, 0, None], [True, False, None]),
    ],
)
def test_stock_is_said_in_words_or_numbers(cells: list[Any], read: list[bool | None]) -> None:
    table = pl.DataFrame({"cell": cells})
    assert table.select(yes_or_no(table["cell"], ",")).to_series().to_list() == read


def test_impressions_are_read_with_their_own_mapping(tmp_path: Path, out: Path) -> None:
    shown = (
        "slate;place;sku;at;chance\n"
        "q2;1;B-2;2023-11-15T00:00:00Z;0,25\n"
        "q1;2;A-1;2023-11-14T00:00:00Z;\n"
        "q1;1;B-2;2023-11-14T00:00:00Z;1\n"
    )
    columns = {"request_id": "slate", "position": "place", "item_id": "sku", "event_ts": "at", "propensity": "chance"}
    mapping = files(
        path="e.csv", impressions={"path": "shown.csv", "separator": ";", "decimal": ",", "columns": columns}
    )
    write(tmp_path, {"e.csv": as_csv(), "shown.csv": shown})
    report = ingest(mapping, tmp_path, out)
    table = CanonicalTables.load(out).impressions
    assert table.schema == SCHEMAS["impressions"]
    assert table.select("request_id", "position", "item_id", "propensity").rows() == [
        ("q1", 1, "B-2", 1.0),
        ("q1", 2, "A-1", None),
        ("q2", 1, "B-2", 0.25),
    ]
    assert report.rows["impressions"] == 3


@pytest.mark.parametrize("tags", ['["b", "a"]', '"b|a"'])
def test_categories_may_be_a_list_or_a_text(tmp_path: Path, out: Path, tags: str) -> None:
    goods = f'{{"sku": "A-1", "tags": {tags}}}\n'
    mapping = files(path="e.csv", items={"path": "g.jsonl", "columns": {"item_id": "sku", "categories": "tags"}})
    ingest(mapping, write(tmp_path / "in", {"e.csv": as_csv(), "g.jsonl": goods}), out)
    assert CanonicalTables.load(out).items.select("title", "categories").rows() == [("A-1", ["a", "b"])]


@pytest.mark.parametrize(
    ("columns", "categories"),
    [
        (["genre", "section"], [["crime", "maps", "shelf 2"], ["maps", "shelf 1"], ["maps"], []]),
        (["section", "genre"], [["crime", "maps", "shelf 2"], ["maps", "shelf 1"], ["maps"], []]),
        (["section"], [["shelf 2"], ["maps", "shelf 1"], [], []]),
    ],
)
def test_categories_of_several_columns_are_those_of_all_each_once(
    tmp_path: Path, out: Path, columns: list[str], categories: list[list[str]]
) -> None:
    goods = "sku,genre,section\nA-1,maps|crime,shelf 2\nB-2,maps,shelf 1|maps\nC-3,maps,\nD-4,,\n"
    items = {"path": "g.csv", "columns": {"item_id": "sku", "categories": columns}}
    ingest(files(path="e.csv", items=items), write(tmp_path / "in", {"e.csv": as_csv(), "g.csv": goods}), out)
    assert CanonicalTables.load(out).items["categories"].to_list() == categories


def test_of_several_rows_of_an_item_each_column_of_categories_has_its_last_value_that_is_not_empty(
    tmp_path: Path, out: Path
) -> None:
    goods = "sku,genre,section\nA-1,maps,shelf 2\nA-1,crime,[]\n"
    items = {"path": "g.csv", "columns": {"item_id": "sku", "categories": ["genre", "section"]}}
    ingest(files(path="e.csv", items=items), write(tmp_path / "in", {"e.csv": as_csv(), "g.csv": goods}), out)
    assert CanonicalTables.load(out).items["categories"].to_list() == [["crime", "shelf 2"]]


def test_rows_of_events_say_categories_in_several_columns_too(tmp_path: Path, out: Path) -> None:
    head, *rows = as_csv().splitlines()
    events = "\n".join([f"{head},genre,section", *(f"{row},maps,shelf 1" for row in rows), ""])
    items = {"from": "interactions", "columns": {"categories": ["genre", "section"]}}
    ingest(files(path="e.csv", items=items), write(tmp_path / "in", {"e.csv": events}), out)
    assert set(map(tuple, CanonicalTables.load(out).items["categories"])) == {("maps", "shelf 1")}


DAYS = {
    f"day={day}/part-{part}.csv": as_csv(ROWS[part : part + 1]) for day, part in (("2023-11-14", 0), ("2023-11-15", 3))
}


def test_a_bracket_that_begins_no_list_is_part_of_the_text(tmp_path: Path, out: Path) -> None:
    goods = "sku,tags\nA-1,[old] books|maps\nB-2,maps\n"
    mapping = files(path="e.csv", items={"path": "g.csv", "columns": {"item_id": "sku", "categories": "tags"}})
    ingest(mapping, write(tmp_path / "in", {"e.csv": as_csv(), "g.csv": goods}), out)
    assert CanonicalTables.load(out).items["categories"].to_list() == [["[old] books", "maps"], ["maps"]]


@pytest.mark.parametrize("path", [".", "day=*", "day=*/*.csv", "day=2023*/part-?.csv"])
def test_a_folder_and_a_pattern_find_the_same_files(tmp_path: Path, out: Path, path: str) -> None:
    root = write(tmp_path / "in", {**DAYS, "day=2023-11-14/.hidden.csv": "no", "_SUCCESS": "", "README.md": "no"})
    report = ingest(files(path=path), root, out)
    assert report.files["interactions"] == 2
    assert story(out) == [STORY[0], STORY[3]]


def test_what_a_folder_is_called_can_be_a_column(tmp_path: Path, out: Path) -> None:
    content = "who,what,at\n007,A-1,1700000000\n"
    root = write(tmp_path / "in", {"did=seen/a.csv": content, "did=bought/a.csv": content})
    columns = {"user_id": "who", "item_id": "what", "event_type": "did", "event_ts": "at"}
    ingest(files(columns=columns), root, out)
    assert sorted(row[2] for row in story(out)) == ["purchase", "view"]


def test_a_url_is_read_as_a_folder_is(tmp_path: Path, out: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name, content in DAYS.items():
        memory.pipe(f"/export/{name}", content.encode())
    ingest(files(), "memory://export", out)
    assert story(out) == [STORY[0], STORY[3]]
    ingest(files(path="memory://export/day=2023-11-14/part-0.csv"), write(tmp_path / "in", {"x.csv": "no"}), out)
    assert story(out) == [STORY[0]]


def test_a_zip_is_read_as_its_folder_is(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", DAYS)
    archive = shutil.make_archive(str(tmp_path / "export"), "zip", root)
    ingest(files(), archive, out)
    assert story(out) == [STORY[0], STORY[3]]


def test_the_same_bytes_twice_give_the_same_bytes(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", DAYS)
    ingest(files(), root, out)
    before = digests(out)
    ingest(files(), write(tmp_path / "elsewhere", DAYS), out)
    assert digests(out) == before


def test_a_day_that_comes_again_replaces_itself_and_a_late_one_is_taken(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"2023-11-15.csv": as_csv(ROWS[3:])})
    ingest(files(), root, out)
    assert story(out) == [STORY[3]]
    ingest(files(), write(root, {"2023-11-14.csv": as_csv(ROWS[:1])}), out)
    assert story(out) == [STORY[0], STORY[3]]
    ingest(files(), write(root, {"2023-11-14.csv": as_csv(ROWS[1:3])}), out)
    assert story(out) == STORY[1:]
    late = digests(out)
    ingest(files(), write(root, {"2023-11-14.csv": as_csv(ROWS[1:3])}), out)
    assert digests(out) == late


def test_where_each_row_came_from_is_told_as_a_spreadsheet_counts(tmp_path: Path, out: Path) -> None:
    text = as_csv().replace("A-1,bought", '"A-1",bought').replace("\n007,B-2", "\n\n007,B-2")
    root = write(tmp_path / "in", {"day/e.csv": text, "e.jsonl": as_jsonl(ROWS[:1])})
    ingest(files(), root, out)
    origins = Origins(out).of("interactions", pl.Series(range(5)))
    assert origins.rows() == [("day/e.csv", 2), ("e.jsonl", 1), ("day/e.csv", 5), ("day/e.csv", 3), ("day/e.csv", 6)]
    assert Origins(out).of("interactions", pl.Series([4, 1])).rows() == [("day/e.csv", 6), ("e.jsonl", 1)]


def test_columns_nobody_maps_may_be_nameless_and_of_any_kind(tmp_path: Path, out: Path) -> None:
    text = "\n".join(["x,," + ",".join(COLUMNS), *("1,2," + line for line in as_csv(header=False).splitlines())])
    ingest(files(), write(tmp_path / "in", {"e.csv": text}), out)
    assert story(out) == STORY
    assert load_refusals(out).is_empty()


def test_parquet_types_that_say_the_same_are_read_alike(tmp_path: Path, out: Path) -> None:
    columns = list(zip(*ROWS, strict=True))
    ids = [uuid.UUID(int=number) for number in range(4)]
    table = pa.table(
        {
            "who": pa.array([one.bytes for one in ids], pa.uuid()),
            "what": pa.array(columns[1]).dictionary_encode(),
            "did": pa.array([word.encode() for word in columns[2]], pa.large_binary()),
            "at": pa.array(columns[3]),
            "paid": pa.array(["0", "12.5", "0", "3"]).dictionary_encode(),
            "unread": pa.array([b"\xff\xfe"] * 4),
        }
    )
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(table, folder / "e.parquet")
    assert ingest(files(), folder, out).rows["interactions"] == 4
    read = pl.read_parquet(out / "interactions.parquet").sort("user_id")
    assert read["user_id"].to_list() == [str(one) for one in ids]
    assert read["value"].to_list() == [0.0, 12.5, 0.0, 3.0]


def test_words_that_stand_for_no_value_are_none(tmp_path: Path, out: Path) -> None:
    rows = [("a", "b", "bought", 1_700_000_000 + at, paid) for at, paid in enumerate(("NULL", "2.5", r"\N"))]
    folder = write(tmp_path / "in", {"e.csv": as_csv(rows)})
    ingest(files(null_words=["NULL", r"\N"]), folder, out)
    assert pl.read_parquet(out / "interactions.parquet")["value"].to_list() == [None, 2.5, None]


def test_a_key_may_be_lacking_in_a_day_but_not_in_all_of_them(tmp_path: Path, out: Path) -> None:
    quiet = "".join(
        json.dumps({"who": "a", "what": "b", "did": "seen", "at": 1_700_000_000 + at}) + "\n" for at in (1, 2)
    )
    folder = write(tmp_path / "in", {"a.jsonl": quiet, "b.jsonl": as_jsonl()})
    assert ingest(files(), folder, out).rows["interactions"] == 2 + len(ROWS)
    with pytest.raises(SourceError, match="No file of interactions has `paid`; 1 file was looked at"):
        ingest(files(path="a.jsonl"), folder, out)


def test_json_keys_may_be_escaped_or_have_dots_of_their_own(tmp_path: Path, out: Path) -> None:
    lines = [json.dumps({"user.id": f"u{at}", "was": {"\u00e9": "b"}, "at": 1_700_000_000 + at}) for at in range(3)]
    folder = write(tmp_path / "in", {"e.jsonl": "\n".join(lines) + "\n"})
    columns = {"user_id": "user.id", "item_id": "was.\u00e9", "event_ts": "at"}
    mapping = Files.model_validate({"interactions": {"time_unit": "s", "event_type": "view", "columns": columns}})
    assert ingest(mapping, folder, out).rows["interactions"] == 3


def test_one_bracket_that_begins_no_list_leaves_the_lists_of_the_others(tmp_path: Path, out: Path) -> None:
    folder = write(tmp_path / "in", {"e.csv": as_csv()})
    pl.DataFrame({"id": ["A-1", "B-2"], "tags": ['["x", "y"]', "[Sale] z"]}).write_csv(folder / "i.csv")
    items = {"path": "i.csv", "columns": {"item_id": "id", "categories": "tags"}}
    ingest(files(path="e.csv", items=items), folder, out)
    found = pl.read_parquet(out / "items.parquet").sort("item_id")["categories"].to_list()
    assert found == [["x", "y"], ["[Sale] z"]]


@pytest.mark.parametrize("path", ["day=2024-01-31/e.csv", "day=2024-01-31", "."])
def test_one_folder_that_says_something_of_the_data_is_read_like_many(tmp_path: Path, out: Path, path: str) -> None:
    folder = write(tmp_path / "in", {"day=2024-01-31/e.csv": "who,what\na,b\n"})
    columns = {"user_id": "who", "item_id": "what", "event_ts": "day"}
    said = {"path": path, "time_zone": "UTC", "event_type": "view", "columns": columns}
    ingest(Files.model_validate({"interactions": said}), folder, out)
    assert pl.read_parquet(out / "interactions.parquet")["event_ts"].dt.date().to_list() == [date(2024, 1, 31)]
