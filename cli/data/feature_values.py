"""`slate features get`: what the online store holds of one person or item, as the release in production reads it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from contracts.home import find_home

COLUMNS = ("feature", "value", "state", "ttl_days")


def add_to(features: typer.Typer) -> None:
    """Register the command of this module below `features`."""
    features.command()(get)


def get(
    *,
    user: Annotated[str, typer.Option("--user", help="A person's id.")] = "",
    item: Annotated[str, typer.Option("--item", help="An item's id.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the row of a person or an item in production, decoded, as a request would read it now."""
    from serving.stored_values import read_stored_values

    if bool(user) == bool(item):
        raise typer.BadParameter("Say --user ID or --item ID, one of the two.")
    stored = read_stored_values(find_home(), load_settings(), user_id=user or None, item_id=item or None)
    print_result(stored.to_json(), as_json, _as_text(stored.to_json()))


def _left_out(history: dict[str, Any]) -> str:
    n_left_out = history["n_left_out"]
    return f", of which the {n_left_out} oldest are left out here" if n_left_out else ""


def _as_text(row: dict[str, Any]) -> str:
    known = (
        f"true at {row['written']}, {row['age_days']:.2f} days before now ({row['now']})"
        if row["known"]
        else f"not in the store: defaults alone (now: {row['now']})"
    )
    lines = [
        f"{row['entity']} {row['id']}: {known}",
        f"release {row['release_id']}, generation {row['generation_id']}",
        "",
        table([{**feature, "value": f"{feature['value']:g}"} for feature in row["features"]], COLUMNS),
    ]
    if row["history"] is not None:
        history = row["history"]
        lines += [
            "",
            f"history: {history['n_events']} events{_left_out(history)}",
            table(history["last"], ("event_ts", "item_id", "value")),
        ]
    return "\n".join(lines).rstrip()
