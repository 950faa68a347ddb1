"""What people do, in one vocabulary; a source maps its own words onto these."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """One thing a person did, or was shown."""

    IMPRESSION = "impression"
    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"
    RATING = "rating"
    SHARE = "share"
    SIGNUP = "signup"


# An event of these types says that a person wanted an item; the others say what was shown or who came.
POSITIVE_EVENTS = frozenset(
    {EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE, EventType.RATING, EventType.SHARE}
)
