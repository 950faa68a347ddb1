"""An item is known when one of the releases served at once holds it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import UnknownId
from contracts.id_map import IdMap
from serving.known_ids import check_items


def holding(release_id: str, *item_ids: str) -> Any:
    return SimpleNamespace(release_id=release_id, catalogue=SimpleNamespace(ids=IdMap.of(item_ids)))


PRODUCTION, CANARY = holding("r-old", "i1", "i2"), holding("r-new", "i2", "i3")


def test_what_somebody_did_with_an_item_that_only_the_canary_holds_is_taken() -> None:
    check_items([PRODUCTION, CANARY], ["i1", "i3"])


def test_an_item_that_none_of_them_holds_is_refused_by_name() -> None:
    with pytest.raises(UnknownId, match="Release r-old knows no item 'i4'"):
        check_items([PRODUCTION, CANARY], ["i1", "i4"])
    with pytest.raises(UnknownId, match="'i3'"):
        check_items([PRODUCTION], ["i3"])
