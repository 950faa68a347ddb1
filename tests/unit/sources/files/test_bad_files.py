"""What is a file's fault stops, with file, column, row and what to do; what is a row's is set aside with the same."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.errors import SourceError
from contracts.tables import CanonicalTables
from sources.canonical.refusals import load_refusals
from sources.files import data_files
from sources.files.export_reader import write_tables
from sources.files.formats import text_tables
from tests.unit.sources.exports import ROWS, as_csv, as_jsonl, files, write

NAMES = "who,what,did,at,paid\n"


def refusal(folder: Path, out: Path, **said: Any) -> str:
    """The message with which an export is refused; what it leaves behind is never all three tables."""
    with pytest.raises(SourceError) as caught:
        write_tables(files(**said), str(folder), out)
    assert not (out / "items.parquet").exists()
    assert caught.value.next_step
    return str(caught.value)


def parquet(rows: Any = ROWS) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(list(rows), schema=["who", "what", "did", "at", "paid"], orient="row").write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("gone.csv", ["gone.csv is not there", "found notes.doc"]),
        ("gone/*.csv", ["gone/*.csv", "found no such file or folder"]),
        (".", ["holds no data file", "found notes.doc", ".parquet"]),
    ],
)
def test_a_missing_file(tmp_path: Path, out: Path, path: str, told: list[str]) -> None:
    message = refusal(write(tmp_path / "in", {"notes.doc": "x"}), out, path=path)
    assert all(words in message for words in told)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("e.csv", b"", "e.csv is empty"),
        ("e.csv.gz", b"", "e.csv.gz is empty"),
        ("e.jsonl", b"", "e.jsonl holds no rows"),
        ("e.csv", NAMES.encode(), "e.csv holds no rows"),
        ("e.csv", NAMES.strip().encode(), "e.csv holds no rows"),
        ("e.csv", b"\n" + as_csv().encode(), "e.csv, row 1 is blank"),
        ("e.csv", NAMES.encode() + b"\n\n", "e.csv holds no rows"),
        ("e.parquet", parquet([]), "e.parquet holds no rows"),
    ],
)
def test_an_empty_file_and_one_with_column_names_alone(
    tmp_path: Path, out: Path, name: str, content: bytes, told: str
) -> None:
    good = {"a-good-one.csv": as_csv()}
    assert told in refusal(write(tmp_path / "in", {**good, name: content}), out)


@pytest.mark.parametrize(("separator", "said"), [(";", {}), ("|", {}), (",", {"separator": ";"})])
def test_a_wrong_separator_is_told_with_the_right_one(tmp_path: Path, out: Path, separator: str, said: Any) -> None:
    message = refusal(write(tmp_path / "in", {"e.csv": as_csv(separator=separator)}), out, **said)
    assert "e.csv, row 1" in message
    assert f"set `separator: {separator!r}`" in message


@pytest.mark.parametrize(
    ("content", "said", "told"),
    [
        (as_csv().encode("latin-1"), {}, r"e.csv, row 5: b'Zo\xeb,A-1,"),
        (as_csv().encode("utf-16"), {}, "e.csv, row 1"),
        (as_csv().encode(), {"encoding": "utf-16"}, "e.csv, row 1"),
        (as_csv().encode("latin-1"), {"encoding": "ascii"}, r"e.csv, row 5"),
        (as_csv().replace("who", "wër").encode("latin-1"), {}, "e.csv, row 1"),
    ],
)
def test_a_wrong_encoding(tmp_path: Path, out: Path, content: bytes, said: Any, told: str) -> None:
    message = refusal(write(tmp_path / "in", {"e.csv": content}), out, **said)
    assert told in message
    assert "Set `encoding`" in message


@pytest.mark.parametrize(
    ("content", "words", "encoding"),
    [
        (codecs.BOM_UTF16_LE + as_csv().encode("utf-16-le"), "FF FE, the mark of UTF-16, little-endian", "utf-16"),
        (codecs.BOM_UTF16_BE + as_csv().encode("utf-16-be"), "FE FF, the mark of UTF-16, big-endian", "utf-16"),
        (as_csv().encode("utf-16-be"), "every other byte is zero, as in UTF-16, big-endian", "utf-16-be"),
    ],
)
def test_utf_16_is_named_by_its_first_bytes_and_read_as_it_is_named(
    tmp_path: Path, out: Path, content: bytes, words: str, encoding: str
) -> None:
    root = write(tmp_path / "in", {"e.csv": content})
    message = refusal(root, out, encoding="ascii")
    assert words in message
    assert f"Set `encoding` beside its path to {encoding};" in message
    write_tables(files(encoding=encoding), str(root), out)
    assert "Zoë" in CanonicalTables.load(out).interactions["user_id"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("who,what,did,when,paid\n", "column at is missing; found who, what, did, when, paid"),
        ("who,what,did,At,paid\n", "column at is missing; found who, what, did, At, paid. Did you mean At?"),
        ("who,what,did,at,paid,at\n", "column at is named twice"),
    ],
)
def test_missing_and_duplicated_columns(tmp_path: Path, out: Path, names: str, told: str) -> None:
    message = refusal(write(tmp_path / "in", {"day/e.csv": names + "1,2,seen,1700000000,1,1700000000\n"}), out)
    assert f"day/e.csv, row 1: {told}" in message


def test_a_missing_column_of_parquet_and_of_json_lines(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.parquet": parquet()})
    assert "column when is missing; found who" in refusal(root, out, columns=with_time("when"))
    root = write(tmp_path / "lines", {"e.jsonl": as_jsonl()})
    assert "e.jsonl has no `when` in its first 4 rows" in refusal(root, out, columns=with_time("when"))


def with_time(name: str) -> dict[str, str]:
    return {"user_id": "who", "item_id": "what", "event_type": "did", "event_ts": name}


def test_json_that_is_one_list_is_told_how_to_become_lines(tmp_path: Path, out: Path) -> None:
    assert "jq -c" in refusal(write(tmp_path / "in", {"e.json": '[\n {"who": 1}\n]'}), out)


@pytest.mark.parametrize(
    ("moment", "said", "told"),
    [
        ("1700000000000", {"time_unit": "s"}, "set `time_unit: ms`"),
        ("1700000000000000", {"time_unit": "s"}, "set `time_unit: us`"),
        ("1700000000", {"time_unit": "ms"}, "set `time_unit: s`"),
        ("1700000000", {"time_unit": "iso"}, "set `time_unit: s`"),
        ("2024-01-31T12:00:00Z", {"time_unit": "s"}, "set `time_unit: iso`"),
        ("2024-01-31 12:00:00", {"time_unit": "iso"}, "set `time_zone`"),
        ("2024-01-31", {"time_unit": "iso"}, "set `time_zone`"),
        ("31.01.2024", {"time_format": "%d.%m.%Y"}, "set `time_zone`"),
        ("31.01.2024", {"time_unit": "iso"}, "expected a time like 2024-01-31T12:00:00+01:00"),
    ],
)
def test_times_of_another_unit_or_without_a_zone(tmp_path: Path, out: Path, moment: str, said: Any, told: str) -> None:
    rows = [("1", "2", "seen", moment, None)] * 3
    message = refusal(write(tmp_path / "in", {"e.csv": as_csv(rows)}), out, **said)
    assert "e.csv, row 2, column at" in message
    assert moment in message
    assert told in message


def test_parquet_times_without_a_zone(tmp_path: Path, out: Path) -> None:
    moments = pl.DataFrame({"at": [1_700_000_000_000_000]}).cast(pl.Datetime("us"))
    table = pl.DataFrame({"who": ["1"], "what": ["2"], "did": ["seen"], "paid": [1.0]}).hstack(moments)
    root = write(tmp_path / "in", {})
    root.mkdir()
    table.write_parquet(root / "e.parquet")
    assert "e.parquet, row 1, column at: the time '2023-11-14 22:13:20' names no zone" in refusal(root, out)


def test_a_decimal_comma_that_nobody_stated(tmp_path: Path, out: Path) -> None:
    rows = [("1", "2", "bought", 1_700_000_000, "9,90")] * 2
    message = refusal(write(tmp_path / "in", {"e.csv": as_csv(rows, separator=";")}), out, separator=";")
    assert "e.csv, row 2, column paid: found '9,90'; expected a finite number" in message
    assert 'decimal: ","' in message


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("name", ["e.parquet", "e.csv.gz", "e.csv.zst"])
def test_a_file_cut_short(tmp_path: Path, out: Path, name: str, share: float) -> None:
    rows = [(str(row), "2", "seen", 1_700_000_000 + row, None) for row in range(2000)]
    root = write(tmp_path / "in", {name: parquet(rows) if name == "e.parquet" else as_csv(rows)})
    path = root / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    message = refusal(root, out)
    assert name in message
    assert "cut short" in message


def test_a_file_that_is_not_what_it_is_called(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.csv": as_csv()})
    (root / "e.csv").rename(root / "e.csv.gz")
    assert "e.csv.gz cannot be read" in refusal(root, out)
    root = write(tmp_path / "other", {"e.parquet": as_csv()})
    assert "e.parquet is no whole Parquet file" in refusal(root, out)


@pytest.mark.parametrize("name", ["e.csv.gz", "e.csv.zst"])
def test_a_bomb_is_put_down_before_it_goes_off(
    tmp_path: Path, out: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "HARMLESS_BYTES", 1 << 20)
    monkeypatch.setattr(data_files, "MAX_EXPANSION", 50)
    root = write(tmp_path / "in", {name: as_csv() + "0" * (8 << 20)})
    message = refusal(root, out)
    assert f"{name} expands to more than 1,048,576 bytes" in message


def test_a_zip_that_is_a_bomb_or_reaches_outside(tmp_path: Path, out: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e.csv", as_csv() + "0" * (80 << 20))
    assert "would expand to" in refusal(tmp_path / "bomb.zip", out)
    with zipfile.ZipFile(tmp_path / "sly.zip", "w") as archive:
        archive.writestr("e.csv", as_csv())
        archive.writestr("../../sly.csv", "x")
    assert "points outside its folder" in refusal(tmp_path / "sly.zip", out)
    assert not list(tmp_path.parent.rglob("sly.csv"))


def aside(tmp_path: Path, out: Path, text: str | bytes, name: str = "e.csv", **said: Any) -> list[tuple[Any, ...]]:
    """The rows set aside: (file, row, column, found, reason)."""
    write_tables(files(**said), str(write(tmp_path / "in", {name: text})), out)
    return load_refusals(out).select("file", "row", "column", "found", "reason").rows()


GOOD = "".join(f"{row},2,seen,{1_700_000_000 + row},\n" for row in range(20))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,2,seen", (None, "1,2,seen", "3 fields instead of 5")),
        ("1,2,seen,1700000000,,,", (None, "1,2,seen,1700000000,,,", "7 fields instead of 5")),
        ("1,2,seen,soon,", ("at", "soon", "expected a time in s since 1970")),
        ("1,2,seen,nan,", ("at", "nan", "expected a time in s since 1970")),
        ("1,2,seen,1700000000000,", ("at", "1700000000000", None)),
        ("1,2,seen,1e30,", ("at", "1e30", "expected a time in s since 1970")),
        ("1,2,bought,1700000000,much", ("paid", "much", "expected a finite number")),
        ("1,2,bought,1700000000,NaN", ("paid", "NaN", "expected a finite number")),
        ("1,2,bought,1700000000,inf", ("paid", "inf", "expected a finite number")),
        ("1,2,bought,1700000000,-Infinity", ("paid", "-Infinity", "expected a finite number")),
    ],
)
def test_a_row_that_cannot_be_read_is_set_aside(tmp_path: Path, out: Path, line: str, told: tuple[Any, ...]) -> None:
    found = aside(tmp_path, out, f"{NAMES}{GOOD}{line}\n{GOOD}")
    if told[2] is None:
        # A moment of the year 55,840 is one no calendar here knows; it must not come out as another.
        assert [row[:4] for row in found] == [("e.csv", 22, told[0], told[1])]
    else:
        assert found == [("e.csv", 22, *told)]
    assert len(CanonicalTables.load(out).interactions) == 40


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,se", "3 fields instead of 5"),
        ("1", "1 fields instead of 5"),
        ("1,2,seen,17e", "4 fields instead of 5"),
        ("1,2,bought,1700000000,-", "expected a finite number"),
    ],
)
def test_a_file_that_ends_within_a_row_was_cut_short(
    tmp_path: Path, out: Path, line: str, reason: str, encoding: str
) -> None:
    root = write(tmp_path / "in", {"e.csv": f"{NAMES}{GOOD}{line}".encode(encoding)})
    message = refusal(root, out, encoding=encoding)
    assert "e.csv, row 22: the file ends within this row" in message
    assert reason in message
    assert "cut short" in message


@pytest.mark.parametrize("line", ["1,2,seen,1700000000,", "1,2,seen,1700000000,,,", "\n", "1,2,se\n", "1,2,se\r\n"])
def test_a_last_row_that_is_whole_or_ended_is_a_row_like_any_other(tmp_path: Path, out: Path, line: str) -> None:
    aside(tmp_path, out, f"{NAMES}{GOOD}{line}")
    assert len(CanonicalTables.load(out).interactions) == 20 + (line == "1,2,seen,1700000000,")


def test_json_that_ends_within_a_line_was_cut_short(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.jsonl": as_jsonl()[:-9]})
    assert "e.jsonl, row 4: the file ends within this row" in refusal(root, out)
    assert len(as_jsonl().splitlines()) == 4


def test_of_many_files_the_one_that_ends_without_a_line_end_is_told(tmp_path: Path, out: Path) -> None:
    """Cut within its last cell, it looks whole."""
    contents = {f"d{day}.csv": NAMES + GOOD for day in range(3)} | {"d7.csv": (NAMES + GOOD).rstrip("\n") + "12"}
    report = write_tables(files(), str(write(tmp_path / "in", contents)), out)
    assert report.unended == {"interactions": ["d7.csv"]}
    assert "interactions: d7.csv ends without a line end, unlike the others" in str(report)


def test_a_line_that_is_no_json_is_set_aside(tmp_path: Path, out: Path) -> None:
    found = aside(tmp_path, out, as_jsonl() + 'nonsense\n\n{"who": "cut\n', name="e.jsonl")
    assert [(row[1], row[3]) for row in found] == [(5, "nonsense"), (7, '{"who": "cut')]
    assert found[0][4] == "no JSON object with any of the mapped columns"


LETTERS = "\u3042" * 50


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_file_cut_short_within_a_letter_is_of_no_other_encoding(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Letters of three bytes, stored as they are, in the last column: wherever it ends, it may be within one."""
    monkeypatch.setattr(text_tables, "BLOCK_BYTES", 1 << 16)
    rows = [f"{row},A-1,seen,1700000000,,{'x' * cut}{LETTERS}" for row in range(15_000)]
    content = "\n".join(["who,what,did,at,paid,note", *rows]).encode()
    stored = gzip.compress(content, compresslevel=0)
    (tmp_path / "e.csv.gz").write_bytes(stored[: len(stored) * 4 // 5])
    assert "cut short" in refusal(tmp_path, out, path="e.csv.gz")


def test_what_was_found_is_cut_where_it_is_endless(tmp_path: Path, out: Path) -> None:
    found = aside(tmp_path, out, f"{NAMES}{GOOD}1,2,bought,1700000000,{'9' * 100_000}x\n")
    assert found[0][3] == "9" * 200


def test_rows_of_batches_and_files_keep_their_numbers(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.files.formats.text_tables.BLOCK_BYTES", 256)
    bad = "1,2,bought,1700000000,much\n"
    found = aside(tmp_path, out, f"{NAMES}{GOOD}{bad}x,y\n{GOOD}{GOOD}\n{bad}")
    assert [row[1] for row in found] == [22, 23, 65]


def test_later_in_a_file_cells_are_to_blame_and_no_longer_the_mapping(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.files.formats.text_tables.BLOCK_BYTES", 256)
    bad = "1,2,bought,1700000000,much\n" * 20
    assert len(aside(tmp_path, out, f"{NAMES}{GOOD}{GOOD}{bad}")) == 20


def test_a_quotation_mark_left_open_is_told(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.files.formats.text_tables.BLOCK_BYTES", 256)
    message = refusal(write(tmp_path / "in", {"e.csv": f'{NAMES}1,"2,seen,1700000000,\n{GOOD}{GOOD}'}), out)
    assert "quotation mark" in message


def test_an_export_in_which_no_row_is_an_interaction(tmp_path: Path, out: Path) -> None:
    root = write(tmp_path / "in", {"e.csv": as_csv()})
    assert "no row is left" in refusal(root, out, event_types={"seen": None, "bought": None})


def test_the_same_event_a_million_times_is_no_bomb_and_is_read(tmp_path: Path, out: Path) -> None:
    line = as_csv(ROWS[1:2], header=False)
    report = write_tables(files(), str(write(tmp_path / "in", {"e.csv.gz": NAMES + line * 1_000_000})), out)
    assert report.rows == {"interactions": 1_000_000, "items": 1, "users": 1}


def test_an_archive_that_holds_a_name_twice_is_refused(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("e.csv", as_csv())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("e.csv", as_csv(ROWS[:1]))
    with pytest.raises(SourceError, match=r"holds 'e\.csv' more than once"):
        write_tables(files(), str(path), out)


def test_where_no_row_is_left_the_first_one_refused_is_told(tmp_path: Path, out: Path) -> None:
    content = NAMES + "a;b;seen;1;2\n"
    message = refusal(write(tmp_path / "in", {"e.csv": content}), out)
    assert "no row is left as an interaction; e.csv, row 2: found 'a;b;seen;1;2" in message


def test_a_point_that_parts_no_thousands_is_refused_where_the_comma_is_decimal(tmp_path: Path, out: Path) -> None:
    rows = [("a", "b", "bought", 1_700_000_000 + at, paid) for at, paid in enumerate(("1.234,5", "12,5", "12.50", "7"))]
    write_tables(files(separator=";", decimal=","), str(write(tmp_path / "in", {"e.csv": as_csv(rows, ";")})), out)
    assert pl.read_parquet(out / "interactions.parquet")["value"].to_list() == [1234.5, 12.5, 7.0]
    assert load_refusals(out).select("row", "column", "found").rows() == [(4, "paid", "12.50")]


def test_a_row_without_an_id_is_a_row_where_another_column_says_something(tmp_path: Path, out: Path) -> None:
    people = {"path": "p.csv", "columns": {"user_id": "id"}}
    content = "id,city\n007,Lyon\n,Paris\n,\n"
    folder = write(tmp_path / "in", {"e.csv": as_csv(), "p.csv": content})
    report = write_tables(files(path="e.csv", users=people), str(folder), out)
    assert report.rows["users"] == 2


def test_a_cell_of_objects_is_refused_by_column_and_type(tmp_path: Path, out: Path) -> None:
    folder = write(tmp_path / "in", {"e.csv": as_csv()})
    pl.DataFrame({"id": ["A-1"], "tags": [[{"name": "x"}]]}).write_parquet(folder / "i.parquet")
    items = {"path": "i.parquet", "columns": {"item_id": "id", "categories": "tags"}}
    with pytest.raises(SourceError, match=r"i\.parquet, column tags: its cells are List\(Struct"):
        write_tables(files(path="e.csv", items=items), str(folder), out)


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path, out: Path) -> None:
    folder = write(tmp_path / "in", {"e.csv": as_csv()})
    os.mkfifo(folder / "f.csv")
    assert "f.csv is no plain file" in refusal(folder, out, path=".")


def test_a_name_that_is_not_utf_8_is_told_with_its_bytes(tmp_path: Path, out: Path) -> None:
    folder = write(tmp_path / "in", {"e.csv": as_csv()})
    (folder / os.fsdecode(b"caf\xe9.csv")).write_text(as_csv())
    assert "caf\\xe9.csv' is no name in UTF-8" in refusal(folder, out, path=".")


@pytest.mark.parametrize("who", ["7", 12345678901234567890123], ids=["as usual", "beside a long number"])
@pytest.mark.parametrize(
    "line",
    ['{"who": "\\ud800", "what": "A-1", "did": "seen", "at": 1700000000}', '{"who": ' + "[" * 100_000],
    ids=["half a character", "deep"],
)
def test_a_json_line_that_holds_half_a_character_or_nests_too_deeply_is_set_aside(
    tmp_path: Path, out: Path, line: str, who: str | int
) -> None:
    sound = as_jsonl([(who, "A-1", "seen", 1_700_000_000, None)])
    write_tables(files(path="e.jsonl"), str(write(tmp_path / "in", {"e.jsonl": sound + line + "\n" + sound})), out)
    assert set(pl.read_parquet(out / "interactions.parquet")["user_id"]) == {str(who)}
    assert load_refusals(out)["row"].to_list() == [2]
