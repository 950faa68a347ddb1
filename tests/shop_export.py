"""A made-up shop's export, as a team that never heard of Slatework writes it: odd names, German words, odd formats."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

START = datetime(2024, 3, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
GROUPS = ("Küche", "Garten", "Spielzeug", "Bücher")
ACTIONS = ("angesehen", "angesehen", "angesehen", "in den Warenkorb", "gekauft", "Newsletter geöffnet")
EVENTS, GOODS = "bewegungen.csv.gz", "artikelstamm.txt"


@dataclass(frozen=True)
class Size:
    """How much there is of the shop."""

    customers: int = 60
    articles: int = 40
    events: int = 3000
    days: int = 60


def write_shop(folder: Path, size: Size = Size(), seed: int = 5) -> Path:
    """Write the export and return its folder: events in gzip, articles in Latin-1, no customers.

    Customers mostly look at one group of articles, and at popular ones more often; ids have leading zeros.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    (folder / EVENTS).write_bytes(gzip.compress("\n".join([*_events(size, rng), ""]).encode(), mtime=0))
    (folder / GOODS).write_bytes("\n".join([*_goods(size, rng), ""]).encode("latin-1"))
    return folder


def _events(size: Size, rng: np.random.Generator) -> list[str]:
    customers = rng.integers(size.customers, size=size.events)
    group = np.arange(size.articles) % len(GROUPS)
    popularity = 1 / (1 + np.arange(size.articles) // len(GROUPS))
    seconds = np.sort(rng.choice(size.days * 86_400, size=size.events, replace=False))
    lines = ["kunden_nr;artikel;aktion;zeitpunkt;betrag"]
    for customer, second in zip(customers, seconds, strict=True):
        weights = np.where(group == customer % len(GROUPS), 10.0, 1.0) * popularity
        article = rng.choice(size.articles, p=weights / weights.sum())
        action = ACTIONS[rng.integers(len(ACTIONS))]
        price = f"{5 + article},90" if action == "gekauft" else ""
        moment = (START + timedelta(seconds=int(second))).astimezone(BERLIN)
        lines.append(f"{customer:06};{article:05};{action};{moment:%Y-%m-%d %H:%M:%S};{price}")
    return lines


def _goods(size: Size, rng: np.random.Generator) -> list[str]:
    lines = ["Artikelnummer;Bezeichnung;Warengruppe;Preis;angelegt am"]
    for article in range(size.articles):
        group = GROUPS[article % len(GROUPS)]
        day = START - timedelta(days=int(rng.integers(400)))
        lines.append(f'{article:05};"Stück {article}; für {group}";{group}/Haus;{5 + article},90;{day:%d.%m.%Y}')
    return lines
