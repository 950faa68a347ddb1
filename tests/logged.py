"""What servers wrote into the event log, a record for each impression, however it is stored."""

from __future__ import annotations

from typing import Any, cast

import orjson

from contracts.logged_slates import single_records
from feature_store.online.connection import Client
from feature_store.online.keys import events_key


def logged_records(client: Client, app: str) -> list[dict[str, Any]]:
    """Every impression and event, oldest first."""
    entries = cast("list[Any]", client.xrange(events_key(app)))
    return [dict(one) for _, fields in entries for one in single_records(orjson.loads(fields[b"record"]))]
