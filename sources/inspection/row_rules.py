"""What rows of a shop's export say beyond their columns: returns, guests, what was no sale, codes that are no goods.

Each becomes a part of the mapping, with the reason beside it, or a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from sources.inspection.role_words import SHIPPING_WORDS
from sources.inspection.sampled_columns import SampledColumn

FEW: Final = 0.05  # of the rows; where more cost nothing, a price of nothing is usual
FEW_RETURNS: Final = 0.3  # of the rows; where more are negative, the sign says something else
SOME_ROWS: Final = 3  # of an item, before its prices can be called unsteady
UNSTEADY: Final = 3.0  # times as much as the least price
MOST_SUSPECTS: Final = 10
CANCEL_MARK: Final = r"^[A-Za-z]"  # before the number of an order that takes another one back

Conditions = list[dict[str, Any]]


def returns(
    columns: Mapping[str, str], samples: Mapping[str, SampledColumn], rows: pl.DataFrame
) -> tuple[Conditions, str]:
    """The conditions under which a row is a return, and why; none where nothing looks like one.

    columns: canonical name -> the file's; rows: a sample, every cell as text.
    """
    amount, order = columns.get("quantity", columns.get("value")), columns.get("session_id")
    if amount and 0 < samples[amount].n_negative <= FEW_RETURNS * len(rows):
        n_rows = samples[amount].n_negative
        return [_condition(amount, "below", 0)], f"{n_rows:,} of {len(rows):,} rows have a negative {amount}"
    if order and (mark := _cancel_mark(rows[order])):
        n_rows = int(rows[order].str.starts_with(mark).sum())
        return [_condition(order, "starts_with", mark)], f"{n_rows:,} of {len(rows):,} rows have {order} {mark}..."
    return [], ""


def no_sales(
    columns: Mapping[str, str], samples: Mapping[str, SampledColumn], rows: pl.DataFrame
) -> tuple[Conditions, str]:
    """The condition under which a row of orders is no sale, since it costs nothing; none where that is usual."""
    price = columns.get("value")
    if price is None or "quantity" not in columns:
        return [], ""
    n_rows = int((samples[price].numbers_in(rows[price]) <= 0).sum())
    if not 0 < n_rows <= FEW * len(rows):
        return [], ""
    return [_condition(price, "at_most", 0)], f"{n_rows:,} of {len(rows):,} rows cost nothing: no sale"


def suspects(
    columns: Mapping[str, str], items: Mapping[str, str], samples: Mapping[str, SampledColumn], rows: pl.DataFrame
) -> Iterator[str]:
    """Codes that may be no goods: they never have a title or a steady price, or are named like shipping.

    items: what rows say of their items.
    """
    code, title, price = columns["item_id"], items.get("title"), items.get("price")
    names: dict[str, None] = {}
    if title is not None:
        titled = rows.filter(pl.col(title).fill_null("").str.strip_chars() != "")[code].unique()
        names |= dict.fromkeys(_sorted(rows.filter(~pl.col(code).is_in(titled.implode()))[code]))
    if price is not None:
        priced = pl.DataFrame({"code": rows[code], "price": samples[price].numbers_in(rows[price])}).filter(
            pl.col("price") > 0
        )
        spread = priced.group_by("code").agg(
            pl.len(), times=pl.col("price").max() / pl.col("price").min(), prices=pl.col("price").n_unique()
        )
        unsteady = spread.filter(
            (pl.col("len") >= SOME_ROWS) & (pl.col("times") >= UNSTEADY) & (2 * pl.col("prices") > pl.col("len"))
        )
        names |= dict.fromkeys(_sorted(unsteady["code"]))
    names |= dict.fromkeys(_sorted(rows.filter(_is_shipping(pl.col(code)) | _is_shipping(pl.col(title or code)))[code]))
    if names:
        listed = ", ".join(list(names)[:MOST_SUSPECTS])
        more = f" and {len(names) - MOST_SUSPECTS:,} more" if len(names) > MOST_SUSPECTS else ""
        yield (
            f"{code} {listed}{more}: never a title, a price that changes with every row, or a name for what shipping "
            "costs. If they are no goods, leave them out: "
            f"`drop: [{{column: {code}, operator: one_of, value: [{listed}]}}]`."
        )


def _is_shipping(cells: pl.Expr) -> pl.Expr:
    """Whether a text speaks of what it costs to send goods; a title that is missing does not."""
    parts = SHIPPING_WORDS.replace("_", "[_ ]").split()
    return cells.cast(pl.String).str.to_lowercase().str.contains(rf"\b(?:{'|'.join(parts)})").fill_null(False)


def _cancel_mark(orders: pl.Series) -> str:
    """The one letter before some numbers of orders, most of which have none."""
    given = orders.drop_nulls()
    marked = given.filter(given.str.contains(CANCEL_MARK) & given.str.contains(r"^.\d+$"))
    marks = marked.str.slice(0, 1).unique().to_list()
    plain = given.str.contains(r"^\d+$").sum()
    return str(marks[0]) if len(marks) == 1 and 0 < len(marked) <= FEW * len(given) < plain else ""


def _condition(column: str, operator: str, value: Any) -> dict[str, Any]:
    return {"column": column, "operator": operator, "value": value}


def _sorted(codes: pl.Series) -> list[str]:
    return sorted(codes.drop_nulls().unique().to_list())
