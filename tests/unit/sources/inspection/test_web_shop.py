"""What `slate inspect` makes of exports as web shops and portals write them, at first contact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import command_line
from contracts.events import EventType
from contracts.settings.files import Files
from contracts.settings.request import RequestSettings
from contracts.settings.settings import load_settings
from sources.inspection.inspection import Inspection, inspect_files
from sources.inspection.proposal import Proposal
from tests.unit.sources.exports import write
from tests.web_shop import write_web_shop

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
NAMES = ("user_id", "item_id", "value", "event_ts")
NOW = datetime(2024, 9, 1, tzinfo=UTC)


def inspected(folder: Path) -> Inspection:
    return inspect_files([str(folder)], load_settings(PARAMS).validate_, NOW)


def proposed(folder: Path) -> Proposal:
    proposal = inspected(folder).proposal
    assert proposal is not None
    return proposal


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return inspected(write_web_shop(tmp_path_factory.mktemp("shop")))


@pytest.fixture(scope="module")
def mapping(shop: Inspection) -> dict[str, Any]:
    assert shop.proposal is not None
    return shop.proposal.files


def test_the_customer_comes_back_and_the_invoice_does_not(mapping: dict[str, Any]) -> None:
    assert mapping["interactions"]["columns"] == {
        "event_ts": "InvoiceDate",
        "user_id": "CustomerID",
        "item_id": "StockCode",
        "session_id": "InvoiceNo",
        "quantity": "Quantity",
        "value": "UnitPrice",
    }
    assert mapping["interactions"]["event_type"] == "purchase"
    assert mapping["interactions"]["time_format"] == "%d/%m/%Y %H:%M"


def test_what_goes_back_what_is_no_sale_and_who_is_not_known_are_proposed_with_their_reasons(
    shop: Inspection, mapping: dict[str, Any]
) -> None:
    assert shop.proposal is not None
    events, why = mapping["interactions"], shop.proposal.comments
    assert events["returns"] == [{"column": "Quantity", "operator": "below", "value": 0}]
    assert events["drop"] == [{"column": "UnitPrice", "operator": "at_most", "value": 0}]
    assert events["anonymous"] == "session"
    assert "have a negative Quantity" in why["interactions.returns"]
    assert "cost nothing" in why["interactions.drop"]
    assert "% of the rows name no CustomerID: guests, by InvoiceNo" in why["interactions.anonymous"]


def test_items_are_described_by_the_rows_of_orders(mapping: dict[str, Any]) -> None:
    assert mapping["items"] == {"from": "interactions", "columns": {"title": "Description", "price": "UnitPrice"}}


def test_codes_that_are_no_goods_are_suspects_and_stay(shop: Inspection) -> None:
    (note,) = [note for note in shop.notes if "never a title" in note]
    assert note.startswith("StockCode DOT, M, POST: ")
    assert "drop: [{column: StockCode, operator: one_of, value: [DOT, M, POST]}]" in note
    assert shop.report is not None
    assert shop.report.ids == {"CustomerID": "ids such as 13039.0 are read without the point"}


def test_the_proposal_builds_as_pasted_with_each_bound_it_needs_and_why(shop: Inspection) -> None:
    assert shop.builds
    assert shop.report is not None
    assert shop.report.counts.keys() == {"returns", "guests' rows"}
    bound = shop.bounds["max_duplicate_share"]
    assert bound.why.endswith("of the interactions repeat an earlier row: same person, item, type and time")
    share = float(bound.why.split("%")[0]) / 100
    assert share < bound.value < 2 * share


def test_the_same_shop_in_another_seed_and_with_a_total_gets_the_total(tmp_path: Path) -> None:
    folder = write_web_shop(tmp_path / "in", seed=11)
    for path in folder.iterdir():
        head, *rows = path.read_text().splitlines()
        cells = [row.split(",") for row in rows]
        priced = [f"{row},{int(one[3]) * float(one[5]):.2f}" for row, one in zip(rows, cells, strict=True)]
        path.write_text("\n".join([f"{head},LineTotal", *priced]) + "\n")
    inspection = inspected(folder)
    assert inspection.builds
    assert inspection.proposal is not None
    assert inspection.proposal.files["interactions"]["returns"] == [
        {"column": "LineTotal", "operator": "below", "value": 0}
    ]
    columns = inspection.proposal.files["interactions"]["columns"]
    assert columns["value"] == "LineTotal"
    assert "quantity" not in columns
    assert columns["user_id"] == "CustomerID"


def orders(n_rows: int = 90) -> str:
    lines = ["order_id,buyer,sku,amount,ordered_at"]
    for row in range(n_rows):
        order, at = row // 3, 1_700_000_000 + 3600 * row
        lines.append(f"{5000 + order},b{order % 12},s{row % 9},{9 + row % 9},{at}")
    return "\n".join(lines) + "\n"


def views(n_rows: int = 200) -> str:
    moments = range(1_700_000_000_000, 1_700_000_000_000 + 1_000_000 * n_rows, 1_000_000)
    rows = [{"visitor": f"b{n % 12}", "page": {"sku": f"s{n % 9}"}, "at": at} for n, at in enumerate(moments)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_views_in_one_file_and_orders_in_another_become_two_mappings(tmp_path: Path) -> None:
    root = write(tmp_path / "in", {"orders.csv": orders(), "pageviews.jsonl": views()})
    inspection = inspected(root)
    assert inspection.proposal is not None
    mappings = inspection.proposal.files["interactions"]
    assert [(one["path"], one["event_type"]) for one in mappings] == [
        ("pageviews.jsonl", "view"),
        ("orders.csv", "purchase"),
    ]
    assert mappings[0]["columns"]["item_id"] == "page.sku"
    assert mappings[1]["columns"]["session_id"] == "order_id"
    assert inspection.report is not None
    assert inspection.report.rows["interactions"] == 290


def test_what_is_pasted_says_that_only_a_purchase_excludes_on_one_line_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "in", {"orders.csv": orders(), "pageviews.jsonl": views()})
    monkeypatch.chdir(PARAMS.parent)
    printed = CliRunner().invoke(command_line(), ["inspect", str(root)], catch_exceptions=False).output
    (line,) = [one for one in printed.splitlines() if "excluding_events" in one]
    assert line.startswith("  excluding_events: [purchase] # 90 purchases beside 200 views: null would never offer")
    pasted = YAML(typ="safe", pure=True).load(printed)
    assert RequestSettings.model_validate(
        load_settings(PARAMS).request.model_dump() | pasted["request"]
    ).excluding_events == (EventType.PURCHASE,)
    assert "set `serving.clock: wall`" in printed


def events(words: tuple[str, ...], n_rows: int = 240) -> str:
    lines = ["uid,sku,action,ts"]
    lines += [f"u{row % 13},s{row % 11},{words[row % len(words)]},{1_700_000_000 + 977 * row}" for row in range(n_rows)]
    return "\n".join(lines) + "\n"


def test_words_for_what_people_do_are_of_the_vocabulary(tmp_path: Path) -> None:
    words = ("LIKE", "BOOKMARK", "COMMENT CREATED", "transaction", "refund")
    files = proposed(write(tmp_path / "in", {"log.csv": events(words)})).files
    assert files["interactions"]["event_types"] == {
        "LIKE": "like",
        "BOOKMARK": "save",
        "COMMENT CREATED": "comment",
        "transaction": "purchase",
        "refund": "return",
    }


def test_codes_of_which_nobody_can_know_the_meaning_are_asked_about_and_never_taken_for_views(tmp_path: Path) -> None:
    inspection = inspected(write(tmp_path / "in", {"log.csv": events(("2", "3", "4"))}))
    assert not inspection.builds
    (question,) = [one for one in inspection.problems if one.stops and "mean" in one.found]
    assert "event types in action mean: 2 (80 rows), 3 (80 rows), 4 (80 rows)?" in question.found
    assert inspection.proposal is not None
    assert inspection.proposal.files["interactions"]["event_types"] == {"2": None, "3": None, "4": None}


@pytest.mark.parametrize("name", ["ratings.csv", "ratings-2024-02-29.csv"])
def test_ratings_without_a_time_are_mapped_and_the_time_is_asked_for(tmp_path: Path, name: str) -> None:
    rows = "".join(f"u{row % 17},b{row % 23},{1 + row % 5}\n" for row in range(200))
    inspection = inspected(write(tmp_path / "in", {name: "user_id,book_id,rating\n" + rows}))
    assert inspection.proposal is not None
    mapping = inspection.proposal.files["interactions"]
    assert mapping["columns"] == {"user_id": "user_id", "item_id": "book_id", "value": "rating"}
    assert (mapping["event_ts"], mapping["event_type"]) == ("unanswered", "rating")
    with pytest.raises(ValidationError, match="when did it happen"):
        Files.model_validate(inspection.proposal.files)
    (question,) = [problem for problem in inspection.problems if problem.stops]
    assert "have a person (user_id) and an item (book_id), but no time" in question.found
    assert "name each file by its day (2024-01-31.csv) and set `event_ts: file_name`" in question.found


def test_the_times_of_ratings_are_those_of_the_names_of_their_files(tmp_path: Path) -> None:
    days = {
        f"2024-01-{day}.csv": "user_id,book_id,rating\n"
        + "".join(f"u{row % 17},b{row % 23},{1 + row % 5}\n" for row in range(day, day + 90))
        for day in (28, 29, 30)
    }
    inspection = inspected(write(tmp_path / "in", days))
    assert inspection.builds, [str(problem) for problem in inspection.problems]
    assert inspection.proposal is not None
    assert inspection.proposal.files["interactions"]["event_ts"] == "file_name"


def test_of_two_columns_of_categories_the_one_that_is_left_out_is_named_with_how_to_take_it(tmp_path: Path) -> None:
    events = "".join(f"u{row % 17},i{row % 23},view,{1_700_000_000 + 60 * row}\n" for row in range(200))
    items = "".join(f"i{row};t{row};s{row % 4};['a{row % 3}', 'b']\n" for row in range(23))
    inspection = inspected(
        write(
            tmp_path / "in",
            {"e.csv": "user_id,item_id,event,ts\n" + events, "goods.csv": "item_id;title;section;tags\n" + items},
        )
    )
    assert inspection.proposal is not None
    taken = inspection.proposal.files["items"]["columns"]["categories"]
    left_out = {"section": "tags", "tags": "section"}[taken]
    (note,) = [note for note in inspection.notes if left_out in note]
    assert f"`categories: {left_out}`" in note
    assert f"`categories: [{taken}, {left_out}]`" in note


@pytest.mark.parametrize(("name", "separator"), [("u.csv", ","), ("u.tsv", "\t"), ("u.csv", ";")])
def test_a_file_without_names_is_told_in_its_own_separator(tmp_path: Path, name: str, separator: str) -> None:
    rows = "".join(separator.join(map(str, (row % 17, row % 23, 5, 881_250_949 + row))) + "\n" for row in range(200))
    (problem,) = inspected(write(tmp_path / "in", {name: rows})).problems
    shown = "\\t".join(NAMES) if separator == "\t" else separator.join(NAMES)
    assert shown in problem.next_step
    assert ("printf" in problem.next_step) is (separator == "\t")


def test_lists_of_items_are_exploded_and_said_to_be_lists(tmp_path: Path) -> None:
    baskets = [
        {"user_id": f"u{row % 9}", "item_ids": [f"i{row % 7}", f"i{row % 5}"], "ts": 1_700_000_000 + 5000 * row}
        for row in range(80)
    ]
    lines = "".join(json.dumps(one) + "\n" for one in baskets)
    inspection = inspected(write(tmp_path / "in", {"log.jsonl": lines}))
    assert inspection.proposal is not None
    assert inspection.proposal.files["interactions"]["explode"] == ["item_ids"]
    assert "The cells of item_ids are lists: `explode` makes a row of each element." in inspection.notes
    assert inspection.report is not None
    assert inspection.report.rows["interactions"] == 160


def test_a_bound_that_would_wave_half_of_the_data_through_is_not_raised(tmp_path: Path) -> None:
    rows = [f"u{row % 9},i{row % 7},view,{1_700_000_000 + row}" for row in range(300)]
    broken = [row.replace("view", "") if number % 2 else row for number, row in enumerate(rows)]
    lines = "user_id,item_id,event,ts\n" + "\n".join(broken) + "\n"
    inspection = inspected(write(tmp_path / "in", {"log.csv": lines}))
    assert not inspection.builds
    assert "max_quarantine_share" not in inspection.bounds


def test_a_log_of_sessions_alone_takes_each_for_a_person_and_says_so(tmp_path: Path) -> None:
    lines = ["session_id,timestamp,item_id,category"]
    lines += [f"{row // 4},2014-04-07T{row % 24:02}:51:09.277Z,{214_536_502 + row % 13},0" for row in range(200)]
    proposal = proposed(write(tmp_path / "in", {"clicks.csv": "\n".join(lines) + "\n"}))
    columns = proposal.files["interactions"]["columns"]
    assert columns == {"event_ts": "timestamp", "user_id": "session_id", "item_id": "item_id"}
    said = "no column names a person: each session_id stands for one"
    assert proposal.comments["interactions.columns.user_id"] == said


@pytest.mark.parametrize(
    "rows",
    [
        "151603712,The Elder Scrolls,purchase,1.0,0\n",
        "user_000639\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\tFlashdance\n",
    ],
)
def test_a_file_without_a_row_of_names_is_told_as_such(tmp_path: Path, rows: str) -> None:
    inspection = inspected(write(tmp_path / "in", {"e.tsv" if "\t" in rows else "e.csv": rows * 40}))
    assert not inspection.builds
    (problem, *_) = inspection.problems
    assert "expected a row of column names, and this looks like data" in problem.found


@pytest.mark.parametrize(
    ("moment", "form"),
    [
        ("2014-12-18 {:02}", "%Y-%m-%d %H"),
        ("Sun Jul 30 07:44:{:02} -0700 2017", "%a %b %d %H:%M:%S %z %Y"),
        ("Sun, 30 Jul 2017 07:44:{:02} +0000", "%a, %d %b %Y %H:%M:%S %z"),
    ],
)
def test_times_as_portals_write_them_get_their_format(tmp_path: Path, moment: str, form: str) -> None:
    rows = [{"user_id": f"u{row % 7}", "book_id": f"b{row % 9}", "date": moment.format(row % 24)} for row in range(90)]
    root = write(tmp_path / "in", {"log.jsonl": "".join(json.dumps(one) + "\n" for one in rows)})
    mapping = proposed(root).files["interactions"]
    assert mapping["time_format"] == form
    assert ("time_zone" in mapping) == ("%z" not in form)


def test_an_excel_sheet_is_looked_at_as_any_other_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Order", "SKU", "Qty", "When", "Price", "Buyer"])
    for row in range(240):
        when = datetime.fromisoformat(f"2024-01-{1 + row // 24:02} 08:{row % 60:02}:00")
        book.active.append([1000 + row // 3, f"S{row % 11}", 1 + row % 3, when, 2.5 + row % 11, f"b{row // 3 % 13}"])
    (tmp_path / "in").mkdir()
    book.create_sheet("Returns").append(["Order"])
    book.save(tmp_path / "in" / "orders.xlsx")
    inspection = inspected(tmp_path / "in")
    (note,) = [note for note in inspection.notes if "sheets" in note]
    assert "only the first, Sheet, was looked at; not Returns" in note
    assert "`sheet: Returns`" in note
    assert inspection.proposal is not None
    mapping = inspection.proposal.files["interactions"]
    assert mapping["columns"] == {
        "event_ts": "When", "user_id": "Buyer", "item_id": "SKU", "session_id": "Order", "quantity": "Qty",
        "value": "Price",
    }  # fmt: skip
    assert (mapping["event_type"], mapping["time_zone"]) == ("purchase", "UTC")


def test_a_german_shops_orders_guests_titles_and_shipping_are_known(tmp_path: Path) -> None:
    lines = ["Bestellnummer;Artikelnummer;Artikelbezeichnung;Menge;Einzelpreis;Bestelldatum;Kundennr"]
    for order in range(300):
        moment = datetime(2024, 3, 1 + order // 12, 8 + order % 12, tzinfo=UTC)
        customer = "" if order % 5 == 0 else str(5000 + order * 7 % 60)
        for line in range(3):
            article = (order * 11 + line * 17) % 50
            price = f"{article + 1},50"
            lines.append(f"{1000 + order};A{article};Tasse {article};1;{price};{moment:%d.%m.%Y %H:%M};{customer}")
        if order % 2:
            lines.append(f"{1000 + order};VERSAND;Versandkosten;1;4,90;{moment:%d.%m.%Y %H:%M};{customer}")
    (tmp_path / "mai.csv").write_text("\n".join(lines) + "\n")
    inspection = inspected(tmp_path)
    assert inspection.proposal is not None
    files = inspection.proposal.files
    assert (
        files["interactions"]["columns"] | {"session_id": "Bestellnummer", "user_id": "Kundennr"}
        == (files["interactions"]["columns"])
    )
    assert files["interactions"]["anonymous"] == "session"
    assert files["items"]["columns"]["title"] == "Artikelbezeichnung"
    (note,) = [note for note in inspection.notes if "what shipping costs" in note]
    assert note.startswith("Artikelnummer VERSAND: ")


def test_a_day_that_is_there_twice_is_told_with_both_files_and_raises_no_bound(tmp_path: Path) -> None:
    days = {f"orders-{day}.csv": orders(90).replace(",170", f",1{day}0") for day in range(3, 7)}
    copied = "orders-4 (copy).csv"
    inspection = inspected(write(tmp_path / "in", {**days, copied: days["orders-4.csv"]}))
    (problem,) = [one for one in inspection.problems if "stands in" in one.found]
    assert problem.stops
    assert problem.file == "orders-4.csv"
    assert problem.found == f"each of its 90 rows stands in {copied}, too, which has 90"
    assert "max_duplicate_share" not in inspection.bounds
    assert not [one for one in inspected(write(tmp_path / "once", days)).problems if "stands in" in one.found]


def test_what_is_missing_for_interactions_is_named_and_stops(tmp_path: Path) -> None:
    rows = "".join(f"{row % 17}\t{row % 23}\t{row * 7}\n" for row in range(200))
    inspection = inspected(write(tmp_path / "in", {"plays.tsv": "userID\tthingID\tweight\n" + rows}))
    (problem,) = inspection.problems
    assert problem.stops
    assert "This one names a person (userID); missing: an item, a time." in problem.found
    assert "set `event_ts: file_name`" in problem.next_step


def test_no_format_that_takes_half_a_year_for_hours_is_named(tmp_path: Path) -> None:
    rows = "".join(f"b{row % 13},S{row % 11},{13 + row % 9}.03.2023\n" for row in range(200))
    proposal = proposed(write(tmp_path / "in", {"orders.csv": "buyer,sku,day\n" + rows}))
    assert proposal.files["interactions"]["time_format"] == "%d.%m.%Y"
    assert "reads them all" not in proposal.comments["interactions.time_format"]
