"""A made-up shop's export as many shops write it: a file a day of invoice lines, dirty in all the usual ways.

A quarter of the lines have no customer, and so the others' numbers became floats; invoices that begin with C take goods
back with a negative quantity; postage and manual entries stand among the goods; some lines repeat within their invoice,
some have no description, some cost nothing. Times are days first, without a zone.

    python -m tests.web_shop FOLDER
"""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

FIRST_DAY = date(2011, 1, 3)
N_DAYS, N_CUSTOMERS = 6, 120
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
KINDS = ("LANTERN", "MUG", "TEA TOWEL", "CAKE STAND", "CANDLE", "GARLAND")
COLOURS = ("RED", "WHITE", "PINK", "GREEN", "IVORY", "BLUE", "ROSE", "BLACK", "GOLD", "CREAM")
NO_GOODS = (("POST", "POSTAGE"), ("M", "Manual"), ("DOT", "DOTCOM POSTAGE"))

Line = tuple[str, str, str, int, datetime, float, str, str]


def write_web_shop(folder: Path, *, seed: int = 7, n_days: int = N_DAYS, invoices_a_day: int = 60) -> Path:
    """Write `orders-<day>.csv` for each day, and return the folder; equal arguments write equal bytes."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    sold: list[Line] = []
    for offset in range(n_days):
        day = FIRST_DAY + timedelta(days=offset)
        lines = _lines_of(day, rng, sold, invoices_a_day, first_invoice=536365 + 1000 * offset)
        rows = [HEADER, *(_row(line) for line in lines)]
        (folder / f"orders-{day.isoformat()}.csv").write_text("\n".join(rows) + "\n")
    return folder


def _lines_of(day: date, rng: np.random.Generator, sold: list[Line], n_invoices: int, first_invoice: int) -> list[Line]:
    lines: list[Line] = []
    for number in range(n_invoices):
        at = datetime(day.year, day.month, day.day, 8) + timedelta(minutes=10 * number + int(rng.integers(10)))  # noqa: DTZ001 - as the shop writes it
        invoice = str(first_invoice + number)
        # Few buy often: some customers come back day after day.
        customer = int(N_CUSTOMERS * rng.random() ** 1.7)
        who = "" if rng.random() < 0.25 else f"{12346 + 7 * customer}.0"
        basket = _invoice(invoice, who, customer, at, rng)
        lines += basket
        sold += [line for line in basket if line[6]]
        if sold and rng.random() < 0.06:
            back = sold.pop(int(rng.integers(len(sold))))
            lines.append(("C" + str(first_invoice + 500 + number), *back[1:3], -back[3], at, *back[5:]))
    return lines


def _invoice(invoice: str, who: str, customer: int, at: datetime, rng: np.random.Generator) -> list[Line]:
    lines: list[Line] = []
    for good in _basket(customer, rng):
        kind, colour = divmod(good, len(COLOURS))
        code = f"{21000 + 3 * good}{'A' if good % 5 == 0 else ''}"
        title = "" if rng.random() < 0.02 else f"{COLOURS[colour]} {KINDS[kind]}"
        price = 0.0 if rng.random() < 0.004 else round(0.85 + 0.4 * (good % 13), 2)
        lines.append((invoice, code, title, int(rng.integers(1, 13)), at, price, who, "United Kingdom"))
    if rng.random() < 0.05:
        lines.append(lines[0])
    if rng.random() < 0.12:
        code, words = NO_GOODS[int(rng.integers(len(NO_GOODS)))]
        lines.append((invoice, code, words, 1, at, round(float(rng.random() * 90 + 1), 2), who, "United Kingdom"))
    return lines


def _basket(customer: int, rng: np.random.Generator) -> list[int]:
    """Goods that differ. A customer likes two kinds; the rest is what everybody buys."""
    liked = (customer % len(KINDS), (customer * 5 + 1) % len(KINDS))
    goods: dict[int, None] = {}
    for _ in range(int(rng.integers(3, 9))):
        kind = liked[int(rng.integers(2))] if rng.random() < 0.7 else int(rng.integers(len(KINDS)))
        goods[kind * len(COLOURS) + int(len(COLOURS) * rng.random() ** 1.5)] = None
    return list(goods)


def _row(line: Line) -> str:
    invoice, code, title, quantity, at, price, who, country = line
    return f"{invoice},{code},{title},{quantity},{at:%d/%m/%Y %H:%M},{price},{who},{country}"


if __name__ == "__main__":
    write_web_shop(Path(sys.argv[1]))
