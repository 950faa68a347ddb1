"""What `slate inspect` guesses of files it has never seen: separators, encodings, tables, columns, event types."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from contracts.events import EventType
from contracts.tables import CanonicalTables
from sources.files.data_files import find_files
from sources.files.export_reader import write_tables
from sources.inspection.file_groups import group_files
from sources.inspection.first_look import guess_encoding, guess_separator, look_at
from sources.inspection.inspection import _common_folder, _find
from sources.inspection.proposal import Proposal, propose
from sources.inspection.role_words import INTERACTION_WORDS, guess_event, name_score
from tests.unit.sources.exports import write

WEB = ["visitorid,event,itemid,transactionid,timestamp"]
WEB += [
    f"{person % 7},{('view', 'addtocart', 'transaction')[person % 3]},{person % 5},,{1433221332117 + person}"
    for person in range(60)
]
NAMELESS = [
    f"{1 + row % 9},{2268318 + row % 6},{2520377 + row % 3},{('pv', 'buy', 'cart', 'fav')[row % 4]},{1511544070 + row}"
    for row in range(60)
]
RATED = ["reviewerID;asin;overall rating;reviewTime"]
RATED += [f"A{row % 8};B{row % 6:04};{1 + row % 5};{row % 28 + 1:02}/12/2023" for row in range(60)]

CYRILLIC = (
    "\u041a\u043d\u0438\u0433\u0430 \u043e \u0435\u0434\u0435; "
    "\u043f\u0440\u043e\u0441\u043c\u043e\u0442\u0440 \u0442\u043e\u0432\u0430\u0440\u0430"
)


def proposal_of(folder: Path, **contents: str | bytes) -> Proposal:
    write(folder, {name.replace("_dot_", "."): content for name, content in contents.items()})
    root, files, _ = _find([str(folder)])
    found = propose(group_files([look_at(file) for file in files]), root)
    assert found is not None
    return found


def test_a_web_shop(tmp_path: Path) -> None:
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(WEB)).files["interactions"]
    assert found["columns"] == {
        "event_ts": "timestamp",
        "user_id": "visitorid",
        "item_id": "itemid",
        "event_type": "event",
    }
    assert found["time_unit"] == "ms"
    assert found["event_types"] == {"addtocart": "add_to_cart", "transaction": "purchase"}


def test_a_cell_past_what_the_csv_module_takes_hides_nothing(tmp_path: Path) -> None:
    rows = [f"{line},{'x' * 200_000 if number == 1 else 'x'}" for number, line in enumerate(WEB)]
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(rows)).files["interactions"]
    assert found["columns"]["user_id"] == "visitorid"
    assert "separator" not in found


def test_of_json_lines_one_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    rows = [{"user_id": str(row % 9), "item_id": f"B{row % 6}", "ts": 1544070000 + row} for row in range(60)]
    unreadable = ['{"user_id": ' + "[" * 100_000, '{"user_id": "\\ud800", "item_id": "B1", "ts": 1544070000}']
    found = proposal_of(tmp_path / "in", e_dot_jsonl="\n".join([*unreadable, *map(json.dumps, rows)])).files[
        "interactions"
    ]
    assert found["columns"]["user_id"] == "user_id"


def test_words_that_stay_as_they_are_are_listed_with_their_counts(tmp_path: Path) -> None:
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(WEB))
    assert found.comments["interactions.columns.event_type"] == "read as they are: view (20 rows)"


def test_ratings_without_an_event_and_days_that_may_be_read_two_ways(tmp_path: Path) -> None:
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(RATED)).files["interactions"]
    assert found["columns"] == {
        "event_ts": "reviewTime",
        "user_id": "reviewerID",
        "item_id": "asin",
        "value": "overall rating",
    }
    assert (found["separator"], found["event_type"]) == (";", "rating")
    assert (found["time_format"], found["time_zone"]) == ("%d/%m/%Y", "UTC")


def test_columns_whose_names_say_nothing_are_guessed_by_their_values_and_said_so(tmp_path: Path) -> None:
    lines = ["c0,c1,c2,c3,c4", *NAMELESS]
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(lines))
    columns = found.files["interactions"]["columns"]
    assert columns == {"event_ts": "c4", "user_id": "c0", "item_id": "c1", "event_type": "c3"}
    assert "by its values" in found.comments["interactions.columns.user_id"]
    assert found.files["interactions"]["event_types"] == {
        "pv": "view",
        "buy": "purchase",
        "cart": "add_to_cart",
        "fav": "save",
    }


def test_words_that_stand_for_no_value_are_proposed_as_such_and_hide_no_kind_of_column(tmp_path: Path) -> None:
    lines = ["user_id,item_id,event,ts,price"]
    for row in range(60):
        who = "NULL" if row % 2 else f"u{row % 7}"
        price = r"\N" if row % 3 else f"{row}.5"
        lines.append(f"{who},i{row % 5},{('view', 'purchase', 'nan')[row % 3]},{1_700_000_000 + row},{price}")
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(lines))
    table = found.files["interactions"]
    assert table["columns"]["value"] == "price"
    assert table["null_words"] == ["NULL", r"\N", "nan"]
    assert "event, price, user_id" in found.comments["interactions.null_words"]
    assert set(found.event_types) == {"view", "purchase"}
    out = tmp_path / "out"
    out.mkdir()
    write_tables(found.settings, str(tmp_path / "in"), out)
    told = CanonicalTables.load(out).interactions
    assert told["value"].null_count() > 0
    assert set(told["user_id"].drop_nulls()) == {f"u{number}" for number in range(7)}


def test_a_file_without_such_words_gets_none(tmp_path: Path) -> None:
    assert "null_words" not in proposal_of(tmp_path / "in", e_dot_csv="\n".join(WEB)).files["interactions"]


def test_a_french_shop_is_understood_by_its_words(tmp_path: Path) -> None:
    events = [f"C{row % 9},{row % 7:05},{('consultation', 'achat')[row % 2]},17882241{row:02}" for row in range(40)]
    goods = [f"{row:05};Miel n° {row};miel;{row},50;0{row + 1}/01/2026" for row in range(7)]
    people = [f"C{row};0{row + 1}/02/2026" for row in range(9)]
    found = proposal_of(
        tmp_path / "in",
        journal_dot_csv="\n".join(["client,produit,evenement,horodatage", *events]),
        produits_dot_csv="\n".join(["reference;libellé;famille;prix_ttc;date_creation", *goods]),
        clients_dot_csv="\n".join(["client;inscrit_le", *people]),
    ).files
    assert found["interactions"]["event_types"] == {"consultation": "view", "achat": "purchase"}
    assert found["items"]["columns"] == {
        "item_id": "reference",
        "title": "libellé",
        "categories": "famille",
        "price": "prix_ttc",
        "created_ts": "date_creation",
    }
    assert found["users"]["columns"] == {"user_id": "client", "signup_ts": "inscrit_le"}


def test_seconds_are_no_customers_in_german(tmp_path: Path) -> None:
    assert (
        name_score("Sekunden", INTERACTION_WORDS["user_id"]) == 0 < name_score("Kundennr", INTERACTION_WORDS["user_id"])
    )
    rows = [
        f"{1 + n % 28:02d}.09.2026 08:47\tH-{n % 40:05d}\tP{n % 15:04d}\tgehört\t{7 * n % 900 + 1}" for n in range(200)
    ]
    heard = "\n".join(["Zeitpunkt\tHörer-Nr.\tBeitrag\tWas\tSekunden", *rows])
    columns = proposal_of(tmp_path / "in", heard_dot_tsv=heard).files["interactions"]["columns"]
    assert {role: columns[role] for role in ("user_id", "item_id", "value")} == {
        "user_id": "Hörer-Nr.",
        "item_id": "Beitrag",
        "value": "Sekunden",
    }


def test_what_customers_choose_by_becomes_attributes_and_stock(tmp_path: Path) -> None:
    events = [f"C{row % 9},{row % 7:05},view,17882241{row:02}" for row in range(40)]
    goods = [f"{row:05};Tee {row};{row},50;{('rot', 'blau')[row % 2]};{row},5;ja;{row % 3};x{row}" for row in range(7)]
    found = proposal_of(
        tmp_path / "in",
        journal_dot_csv="\n".join(["kunde,artikel,ereignis,zeit", *events]),
        artikel_dot_csv="\n".join(["artikel;name;preis;Farbe;gewicht_kg;vegan;bestand;lagerplatz_3", *goods]),
    ).files
    assert found["items"]["columns"] == {
        "item_id": "artikel", "title": "name", "price": "preis", "in_stock": "bestand",
    }  # fmt: skip
    assert found["items"]["attributes"] == {
        "farbe": "Farbe",
        "gewicht_kg": {"column": "gewicht_kg", "type": "number"},
        "vegan": {"column": "vegan", "type": "boolean"},
    }


def test_json_lines_with_objects_and_parquet_with_types(tmp_path: Path) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    events = [
        json.dumps(
            {
                "user": {"id": f"u{row % 7}"},
                "product": {"sku": f"p{row % 5}"},
                "action": "read",
                "ts": (start + timedelta(hours=row)).isoformat(),
            }
        )
        for row in range(40)
    ]
    write(tmp_path / "in", {"e.jsonl": "\n".join(events)})
    goods = {
        "sku": [f"p{row}" for row in range(5)],
        "headline": ["x"] * 5,
        "tags": [["a", "b"]] * 5,
        "published": [start] * 5,
    }
    pl.DataFrame(goods).write_parquet(tmp_path / "in" / "g.parquet")
    files = proposal_of(tmp_path / "in").files
    assert files["interactions"]["columns"]["user_id"] == "user.id"
    assert files["interactions"]["columns"]["item_id"] == "product.sku"
    assert files["interactions"]["event_types"] == {"read": "view"}
    assert "time_zone" not in files["interactions"]
    assert files["items"]["columns"] == {
        "item_id": "sku",
        "title": "headline",
        "categories": "tags",
        "created_ts": "published",
    }


def test_one_file_a_day_is_one_table_named_by_a_pattern_or_its_folder(tmp_path: Path) -> None:
    halves = ["\n".join([WEB[0], *WEB[1:30]]), "\n".join([WEB[0], *WEB[30:]])]
    people = "customer_id,age,sex\n" + "".join(f"{row},{20 + row},f\n" for row in range(7))
    contents = {f"events-2024-01-0{day}.csv": half for day, half in enumerate(halves, start=1)}
    write(tmp_path / "in", {**contents, "people.csv": people})
    found = proposal_of(tmp_path / "in").files
    assert found["interactions"]["path"] == "events-*.csv"
    assert found["users"] == {
        "path": "people.csv",
        "columns": {"user_id": "customer_id", "age": "age", "gender": "sex"},
    }
    assert sum(proposal_of(tmp_path / "in").event_types.values()) == 60
    hive = write(tmp_path / "hive", {f"day=2024-01-0{day}/part.csv": half for day, half in enumerate(halves, start=1)})
    assert proposal_of(hive).files["interactions"]["path"] == "."


def test_what_holds_no_interactions_gets_no_proposal(tmp_path: Path) -> None:
    write(tmp_path / "in", {"a.csv": "colour,size\nred,1\nblue,2\n"})
    root, files, _ = _find([str(tmp_path / "in")])
    assert propose(group_files([look_at(file) for file in files]), root) is None


def test_the_common_folder_is_above_what_hive_calls_a_folder() -> None:
    assert _common_folder(["/x/e/day=1/a.csv", "/x/e/day=1/b.csv"]) == "/x/e"
    assert _common_folder(["/x/e/a.csv", "/x/g/b.csv"]) == "/x"


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("view", EventType.VIEW),
        ("PageView", EventType.VIEW),
        ("in den Warenkorb", EventType.ADD_TO_CART),
        ("remove_from_cart", None),
        ("Bestellung storniert", EventType.RETURN),
        ("order_completed", EventType.PURCHASE),
        ("Klick", EventType.CLICK),
        ("achat", EventType.PURCHASE),
        ("Consultation fiche", EventType.VIEW),
        ("retrait_panier", None),
        ("heartbeat", None),
        ("LIKE", EventType.LIKE),
        ("unlike", None),
        ("BOOKMARK", EventType.SAVE),
        ("remove_from_wishlist", None),
        ("COMMENT CREATED", EventType.COMMENT),
        ("transaction", EventType.PURCHASE),
        ("Retoure", EventType.RETURN),
    ],
)
def test_an_event_is_what_its_word_says(word: str, ours: EventType | None) -> None:
    assert guess_event(word) == ours


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_separator_is_what_parts_every_line_alike(separator: str) -> None:
    line = separator.join(["a", '"b;,|\t"', "c, d" if separator != "," else "c"])
    assert guess_separator("\n".join([line] * 5)) == separator


@pytest.mark.parametrize(
    ("text", "encoding", "guessed"),
    [
        ("Küche, Größe", "utf-8", "utf-8"),
        ("Küche, Größe, Straße", "latin-1", "cp1252"),
        (CYRILLIC, "cp1251", "cp1251"),
        ("Küche", "utf-16", "utf-16"),
        ("Küche, Größe", "utf-16-le", "utf-16-le"),
        ("Küche, Größe", "utf-16-be", "utf-16-be"),
        ("Küche", "utf-8-sig", "utf-8"),
        ("Küche", "utf-32", "utf-32"),
    ],
)
def test_an_encoding_is_guessed_by_its_bytes(text: str, encoding: str, guessed: str) -> None:
    assert guess_encoding((text + "\n").encode(encoding) * 5) == guessed


@pytest.mark.parametrize(
    ("encoding", "proposed", "comment"),
    [
        ("utf-16", "utf-16", "FF FE, the mark of UTF-16, little-endian"),
        ("utf-16-be", "utf-16-be", "every other byte is zero, as in UTF-16, big-endian, without a mark"),
    ],
)
def test_utf_16_is_proposed_by_what_its_first_bytes_say(
    tmp_path: Path, encoding: str, proposed: str, comment: str
) -> None:
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join([*WEB, ""]).encode(encoding))
    assert found.files["interactions"]["encoding"] == proposed
    assert found.comments["interactions.encoding"] == f"its first bytes: {comment}"
    out = tmp_path / "out"
    out.mkdir()
    assert write_tables(found.settings, str(tmp_path / "in"), out).rows["interactions"] == len(WEB) - 1


def test_a_sample_that_ends_within_a_character_is_still_utf_8() -> None:
    assert guess_encoding("größe".encode()[:-4]) == "utf-8"


def test_files_are_found_whatever_their_names_end_in_when_they_are_named(tmp_path: Path) -> None:
    write(tmp_path / "in", {"export.dat": "\n".join(WEB)})
    look = look_at(find_files("", str(tmp_path / "in" / "export.dat"))[0])
    assert (look.settings.format, look.sample.height) == ("csv", 60)


def test_of_two_files_that_describe_items_the_one_that_says_more_is_taken(tmp_path: Path) -> None:
    links = "itemid,isbn\n" + "".join(f"{row},{900 + row}\n" for row in range(9))
    goods = "itemid,title,genres\n" + "".join(f"{row},T {row},a|b\n" for row in range(5))
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(WEB), a_dot_csv=links, b_dot_csv=goods)
    assert found.files["items"]["path"] == "b.csv"
    assert found.unused == ("a.csv",)


def test_of_two_files_of_events_both_are_taken_where_they_share_people_or_items_the_longer_first(
    tmp_path: Path,
) -> None:
    tags = "itemid,visitorid,timestamp,event,rating\n"
    tags += "".join(f"{row % 3},{row % 4},{1433221332117 + row},view,{row % 5}\n" for row in range(20))
    found = proposal_of(tmp_path / "in", a_dot_csv=tags, e_dot_csv="\n".join(WEB))
    assert [one["path"] for one in found.files["interactions"]] == ["e.csv", "a.csv"]


def test_of_two_files_of_events_that_share_nobody_and_nothing_the_longer_is_taken(tmp_path: Path) -> None:
    other = "itemid,visitorid,timestamp,event,rating\n"
    other += "".join(f"x{row % 3},y{row % 4},{1433221332117 + row},view,{row % 5}\n" for row in range(20))
    found = proposal_of(tmp_path / "in", a_dot_csv=other, e_dot_csv="\n".join(WEB))
    assert found.files["interactions"]["path"] == "e.csv"
    assert found.unused == ("a.csv",)


def test_days_read_the_way_that_has_them_in_a_row(tmp_path: Path) -> None:
    lines = [f"u{row % 7},p{row % 5},read,01/{1 + row % 10:02}/2025" for row in range(40)]
    found = proposal_of(tmp_path / "in", e_dot_csv="\n".join(["user_id,item_id,event,date", *lines]))
    assert found.files["interactions"]["time_format"] == "%m/%d/%Y"
    assert "%d/%m/%Y reads them all too" in found.comments["interactions.time_format"]


def test_days_of_one_table_may_be_written_in_plain_letters_or_not(tmp_path: Path) -> None:
    def day(number: int, word: str) -> str:
        rows = [f"u{row % 7},p{row % 5},{word},{1_735_700_000 + 86_400 * number + row}" for row in range(40)]
        return "\n".join(["user_id,item_id,event,ts", *rows])

    folder = tmp_path / "in"
    contents = {"d0.csv": day(0, "view"), "d1.csv": day(1, "view"), "d2.csv": day(2, "Käufe").encode("cp1252")}
    found = propose(group_files([look_at(file) for file in find_files(str(write(folder, contents)), ".")]), str(folder))
    assert found is not None
    assert (found.files["interactions"]["encoding"], found.unused) == ("cp1252", ())
    assert found.event_types == {"view": 80, "Käufe": 40}


def test_json_days_that_lack_what_is_not_needed_are_of_the_same_table(tmp_path: Path) -> None:
    def day(number: int, **more: float) -> str:
        at = 1_735_700_000 + 86_400 * number
        return "".join(
            json.dumps({"user_id": f"u{row % 7}", "item_id": f"p{row % 5}", "event": "view", "ts": at + row, **more})
            + "\n"
            for row in range(40)
        )

    folder = tmp_path / "in"
    contents = {"1.jsonl": day(0), "2.jsonl": day(1, price=2.5), "3.jsonl": day(2)}
    found = propose(group_files([look_at(file) for file in find_files(str(write(folder, contents)), ".")]), str(folder))
    assert found is not None
    assert (found.files["interactions"]["columns"]["value"], found.unused) == ("price", ())
