"""What `slate inspect` makes of tables of orders: how they stand, how they were paid, who bought, and what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sources.inspection.file_groups import group_files
from sources.inspection.first_look import look_at
from sources.inspection.inspection import _find
from sources.inspection.proposal import Proposal, propose
from sources.inspection.role_words import guess_state
from tests.unit.sources.exports import write

ORDER = "order_id,customer_id,sku,quantity,unit_price,ordered_at"


def proposal_of(folder: Path, **contents: str) -> Proposal:
    write(folder, {name.replace("_dot_", "."): content for name, content in contents.items()})
    root, files, _ = _find([str(folder)])
    found = propose(group_files([look_at(file) for file in files]), root)
    assert found is not None
    return found


def orders(header: str, **cells: Sequence[str]) -> str:
    """Ninety rows of thirty orders with the columns of ORDER; a further column has its cells in turn."""
    rows = [",".join([header, *cells])]
    for row in range(90):
        order = row // 3
        own = [str(5000 + order), f"c{order % 12}", f"s{row % 9}", str(1 + row % 3), f"{9 + row % 9}.50"]
        own.append(f"2024-01-{1 + order % 28:02}T08:{row % 60:02}:00Z")
        rows.append(",".join([*own, *(one[row % len(one)] for one in cells.values())]))
    return "\n".join(rows) + "\n"


def is_one_of(column: str, *words: str) -> list[dict[str, Any]]:
    return [{"column": column, "operator": "one_of", "value": list(words)}]


@pytest.mark.parametrize(
    ("column", "bought", "back", "never"),
    [
        ("status", "delivered", "returned", "cancelled"),
        ("Bestellstatus", "versendet", "Retoure", "storniert"),
        ("order_status", "livré", "remboursé", "annulé"),
        ("estado", "entregado", "devuelto", "cancelado"),
        ("type", "Online", "Return", "Cancelled"),
    ],
)
def test_how_an_order_stands_is_no_event_type_and_leaves_its_rows_purchases(
    tmp_path: Path, column: str, bought: str, back: str, never: str
) -> None:
    words = [bought] * 8 + [back, never]
    proposal = proposal_of(tmp_path / "in", verlauf_dot_csv=orders(ORDER, **{column: words}))
    found = proposal.files["interactions"]
    assert "event_type" not in found["columns"]
    assert found["event_type"] == "purchase"
    assert found["returns"] == is_one_of(column, back)
    assert found["drop"] == is_one_of(column, never)
    assert proposal.comments["interactions.returns"] == f"9 rows, by {column}"
    assert proposal.notes[0] == (
        f"{column} says how each order stands: look at it. {bought} (72 rows): purchases; "
        f"{back} (9 rows): `returns`, it came back; {never} (9 rows): `drop`, it was never bought."
    )
    assert proposal.questions == ()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("payment_type", ("Klarna", "Carte bancaire", "PayPal")),
        ("ship_mode", ("First Class", "Order and collect")),
        ("payment_method", ("cart", "paid in store")),
    ],
)
def test_how_an_order_was_paid_or_sent_is_no_event_type(tmp_path: Path, column: str, words: Sequence[str]) -> None:
    found = proposal_of(tmp_path / "in", orders_dot_csv=orders(ORDER, **{column: words})).files["interactions"]
    assert "event_type" not in found["columns"]
    assert found["event_type"] == "purchase"
    assert "returns" not in found


def test_of_a_log_with_prices_the_words_for_browsing_stay_event_types(tmp_path: Path) -> None:
    words = ("view", "view", "cart", "purchase")
    found = proposal_of(tmp_path / "in", log_dot_csv=orders(ORDER, type=words)).files["interactions"]
    assert found["columns"]["event_type"] == "type"
    assert found["event_types"] == {"cart": "add_to_cart"}


@pytest.mark.parametrize(("n_unknown", "is_asked"), [(3, True), (2, False)])
def test_words_nobody_knows_are_asked_about_where_they_would_leave_out_more_than_some_rows(
    tmp_path: Path, n_unknown: int, is_asked: bool
) -> None:
    words = ["heartbeat"] * n_unknown + ["remove_from_cart"] * 10 + ["view"] * (48 - 10 - n_unknown)
    rows = [f"u{row % 13},s{row % 11},{words[row % 48]},{1_700_000_000 + 977 * row}" for row in range(240)]
    text = "\n".join(["uid,sku,action,ts", *rows])
    questions = proposal_of(tmp_path / "in", log_dot_csv=text).questions
    assert len(questions) == is_asked
    assert all(f"mean: heartbeat ({5 * n_unknown} rows)?" in one for one in questions)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Partially refunded", None),
        ("nicht storniert", None),
        ("Zurückgegeben, Erstattung", "returns"),
        ("geannuleerd", "drop"),
        ("Rejected", "drop"),
        ("bezahlt", None),
        ("resolved", None),
    ],
)
def test_a_state_is_what_its_word_says(word: str, kind: str | None) -> None:
    assert guess_state(word) == kind


def test_a_time_of_buying_makes_a_purchase_whatever_the_file_is_called(tmp_path: Path) -> None:
    rows = [f"m{row % 12},a{row % 9},{1_700_000_000 + 7200 * row}" for row in range(90)]
    text = "\n".join(["member,article,bought_at", *rows])
    assert proposal_of(tmp_path / "in", baskets_dot_csv=text).files["interactions"]["event_type"] == "purchase"


CUPS = [f"Blue cup {row % 9}" for row in range(9)]
PEOPLE = [f"Ann Lee {row // 3 % 12}" for row in range(36)]  # the customers of ORDER


@pytest.mark.parametrize("title", ["Product Name", "ProductName", "product_name", "Artikelname", "Product", "Artikel"])
@pytest.mark.parametrize("person", ["Customer Name", "Name", "E-Mail", "Kundengruppe"])
def test_the_code_is_the_item_its_name_the_title_and_nothing_of_a_person_is_said_of_items(
    tmp_path: Path, title: str, person: str
) -> None:
    text = orders(ORDER, **{person: PEOPLE, title: CUPS})
    files = proposal_of(tmp_path / "in", orders_dot_csv=text).files
    columns = files["interactions"]["columns"]
    assert (columns["item_id"], columns["user_id"]) == ("sku", "customer_id")
    assert (columns["quantity"], columns["value"]) == ("quantity", "unit_price")
    assert files["items"] == {"from": "interactions", "columns": {"title": title, "price": "unit_price"}}


def test_where_no_column_is_a_code_the_names_of_items_are_their_ids(tmp_path: Path) -> None:
    rows = [f"u{row % 13},Blue film {row % 11},{1 + row % 5},{1_700_000_000 + 7777 * row}" for row in range(90)]
    text = "\n".join(["user_id,movie,rating,ts", *rows])
    assert proposal_of(tmp_path / "in", r_dot_csv=text).files["interactions"]["columns"]["item_id"] == "movie"


def test_of_orders_with_an_address_and_a_number_the_address_is_the_person_and_the_state_must_be_filled_down(
    tmp_path: Path,
) -> None:
    lines = ["Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku"]
    for row in range(90):
        order, item = row // 3, row % 9
        state = "" if row % 3 else ("refunded" if order == 4 else "paid")
        when = f"2024-01-{1 + order % 28:02} 08:00:00 +0100"
        lines.append(
            f"#{1000 + order},c{order % 12}@example.com,{state},{when},1,Cup {item} - Blue,{item + 2}.50,S{item}"
        )
    proposal = proposal_of(tmp_path / "in", orders_export_dot_csv="\n".join(lines))
    assert proposal.files["interactions"]["columns"] == {
        "event_ts": "Created at", "user_id": "Email", "item_id": "Lineitem sku", "session_id": "Name",
        "quantity": "Lineitem quantity", "value": "Lineitem price",
    }  # fmt: skip
    assert proposal.files["interactions"]["returns"] == is_one_of("Financial Status", "refunded")
    assert proposal.files["items"]["columns"]["title"] == "Lineitem name"
    assert proposal.notes[0].startswith(
        "Financial Status is filled in on some rows of each Name alone: 60 of 90 rows lack it"
    )


@pytest.mark.parametrize("n_articles", [40, 400])
def test_articles_with_a_date_are_the_items_of_the_events_that_name_them(tmp_path: Path, n_articles: int) -> None:
    reads = [
        {
            "reader": {"id": str(row % 19)},
            "article": {"id": f"art-{row % 40}"},
            "action": "READ",
            "at": 1_700_000_000 + row,
        }
        for row in range(200)
    ]
    articles = [
        {
            "id": f"art-{row}",
            "headline": f"On {row}",
            "meta": {
                "tags": [f"t{row % 7}"],
                "section": f"s{row % 4}",
                "published": f"2023-02-{1 + row % 25:02}T00:00:00Z",
            },
        }
        for row in range(n_articles)
    ]
    files = proposal_of(
        tmp_path / "in",
        activity_dot_jsonl="\n".join(map(json.dumps, reads)),
        articles_dot_jsonl="\n".join(map(json.dumps, articles)),
    ).files
    assert files["interactions"]["path"] == "activity.jsonl"
    assert files["items"]["path"] == "articles.jsonl"
    assert files["items"]["columns"] == {
        "item_id": "id", "title": "headline", "categories": "meta.tags", "created_ts": "meta.published",
    }  # fmt: skip


@pytest.mark.parametrize(("price", "has_pieces"), [("Sales", False), ("Gesamtpreis", False), ("unit_price", True)])
def test_a_total_by_its_name_is_not_multiplied_by_the_pieces(tmp_path: Path, price: str, has_pieces: bool) -> None:
    text = orders(ORDER.replace("unit_price", price))
    found = proposal_of(tmp_path / "in", orders_dot_csv=text).files["interactions"]
    assert found["columns"]["value"] == price
    assert ("quantity" in found["columns"]) is has_pieces
    assert found["event_type"] == "purchase"


def test_goods_that_are_called_like_a_part_of_an_address_are_still_goods(tmp_path: Path) -> None:
    text = orders(ORDER.replace("sku", "phone_id"), phone_name=CUPS)
    files = proposal_of(tmp_path / "in", orders_dot_csv=text).files
    assert files["interactions"]["columns"]["item_id"] == "phone_id"
    assert files["items"]["columns"] == {"title": "phone_name", "price": "unit_price"}


def test_the_item_is_never_the_name_of_a_person(tmp_path: Path) -> None:
    rows = [f"m{row // 3 % 12},Ann Lee {row // 3 % 12},{row % 7},{1_700_000_000 + 7200 * row}" for row in range(90)]
    text = "\n".join(["member_id,customer_fullname,c2,ts", *rows])
    assert proposal_of(tmp_path / "in", e_dot_csv=text).files["interactions"]["columns"]["item_id"] == "c2"
