"""Small made-up worlds for tests: canonical tables whose answers are known or easily seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, CanonicalTables

START = datetime(2020, 1, 1, tzinfo=UTC)
GENRES = ("action", "comedy", "drama", "horror")


def small_world(
    n_users: int = 60, n_items: int = 40, n_events: int = 3000, n_days: int = 100, seed: int = 3
) -> CanonicalTables:
    """People with a favourite genre who mostly rate films of it, popular ones more often; rows in canonical order.

    External ids never equal indices: items are `i1000`, `i1001`...; people `u500`, `u501`...
    """
    rng = np.random.default_rng(seed)
    item_genre = np.arange(n_items) % len(GENRES)
    user_genre = np.arange(n_users) % len(GENRES)
    popularity = 1 / (1 + np.arange(n_items) // len(GENRES))
    users = rng.integers(n_users, size=n_events)
    affinity = np.where(item_genre[None, :] == user_genre[:, None], 8.0, 1.0) * popularity[None, :]
    affinity /= affinity.sum(axis=1, keepdims=True)
    items = np.array([rng.choice(n_items, p=affinity[user]) for user in users])
    seconds = np.sort(rng.integers(n_days * 86_400, size=n_events))
    interactions = pl.DataFrame(
        {
            "user_id": [f"u{500 + user}" for user in users],
            "item_id": [f"i{1000 + item}" for item in items],
            "event_type": ["rating"] * n_events,
            "event_ts": [START + timedelta(seconds=int(second)) for second in seconds],
            "value": np.where(item_genre[items] == user_genre[users], 5.0, 3.0),
            "session_id": [None] * n_events,
            "request_id": [None] * n_events,
        },
        schema=INTERACTIONS_SCHEMA,
    ).unique(["user_id", "item_id"], keep="first", maintain_order=True)
    return CanonicalTables(
        interactions.sort("event_ts", "user_id", "item_id", "event_type"),
        pl.DataFrame(
            {
                "item_id": [f"i{1000 + item}" for item in range(n_items)],
                "title": [f"Film {item} ({GENRES[item_genre[item]]})" for item in range(n_items)],
                "categories": [[GENRES[item_genre[item]]] for item in range(n_items)],
                "text": [None] * n_items,
                "price": [None] * n_items,
                "created_ts": [None] * n_items,
                "release_year": [1980 + item for item in range(n_items)],
                "in_stock": [None] * n_items,
                "attributes": [None] * n_items,
            },
            schema=ITEMS_SCHEMA,
        ),
        pl.DataFrame(
            {
                "user_id": [f"u{500 + user}" for user in range(n_users)],
                "signup_ts": [None] * n_users,
                "age": [18 + user for user in range(n_users)],
                "gender": ["F" if user % 2 else "M" for user in range(n_users)],
                "occupation": ["writer" if user % 3 else "engineer" for user in range(n_users)],
                "device": [None] * n_users,
                "day_part": [None] * n_users,
                "entry_page": [None] * n_users,
            },
            schema=USERS_SCHEMA,
        ),
    )


def small_shop(
    n_users: int = 30, n_items: int = 12, n_events: int = 3000, n_days: int = 100, seed: int = 8
) -> CanonicalTables:
    """A shop whose people buy the same few things again and again, and bring back a third of them; in whole hours.

    Some returns find no purchase, and much happens at the same moment.
    """
    rng = np.random.default_rng(seed)
    world = small_world(n_users, n_items, n_days=n_days)
    kinds = rng.choice(["view", "click", "add_to_cart", "purchase", "return"], n_events, p=[0.2, 0.1, 0.1, 0.45, 0.15])
    hours = rng.integers(n_days * 24, size=n_events)
    interactions = pl.DataFrame(
        {
            "user_id": [f"u{500 + user}" for user in rng.integers(n_users, size=n_events)],
            "item_id": [f"i{1000 + item}" for item in rng.integers(n_items, size=n_events)],
            "event_type": kinds,
            "event_ts": [START + timedelta(hours=int(hour)) for hour in hours],
            "value": np.where(np.isin(kinds, ["purchase", "return"]), rng.integers(1, 9, n_events) / 2, np.nan),
        }
    ).with_columns(pl.col("value").fill_nan(None), session_id=pl.lit(None), request_id=pl.lit(None))
    return CanonicalTables(
        interactions.cast(INTERACTIONS_SCHEMA).sort("event_ts", "user_id", "item_id", "event_type"),
        world.items.with_columns(price=pl.int_range(pl.len()) * 2.5 + 0.99),
        world.users,
    )
