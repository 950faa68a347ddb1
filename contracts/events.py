"""What people do, in one vocabulary; a source maps its own words onto these."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


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
    LIKE = "like"
    SAVE = "save"
    COMMENT = "comment"
    RETURN = "return"


# An event of these types says that a person wanted an item; the others say what was shown or who came.
POSITIVE_EVENTS = frozenset(
    {
        EventType.VIEW,
        EventType.CLICK,
        EventType.ADD_TO_CART,
        EventType.PURCHASE,
        EventType.RATING,
        EventType.SHARE,
        EventType.LIKE,
        EventType.SAVE,
        EventType.COMMENT,
    }
)

# The number of a type where an event is packed: those above, and what takes one of them back. A new type gets the next
# number; no number is ever used again.
UNSPECIFIED_TYPE: Final = 0  # of an event whose type is not known
EVENT_CODES: Final[Mapping[EventType, int]] = {
    EventType.VIEW: 1,
    EventType.CLICK: 2,
    EventType.ADD_TO_CART: 3,
    EventType.PURCHASE: 4,
    EventType.RATING: 5,
    EventType.SHARE: 6,
    EventType.LIKE: 7,
    EventType.SAVE: 8,
    EventType.COMMENT: 9,
    EventType.RETURN: 10,
}
EVENT_TYPE_OF: Final[Mapping[int, EventType]] = {code: event_type for event_type, code in EVENT_CODES.items()}
