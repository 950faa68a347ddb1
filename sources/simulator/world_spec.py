"""What a simulated world is asked to be, and what people in it are like. docs/simulator.md explains every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from contracts.errors import SettingsError

# Day 0. In the past, or validation would find the end of a long world in the future.
START: Final = datetime(2024, 1, 1, tzinfo=UTC)
SLATE_LENGTH: Final = 10
# Each of the ten pools of the logging policy needs an item on the first day (see `policies`).
LEAST_ITEMS: Final = 100
MOST_USERS: Final = 2**32
MOST_ITEMS: Final = 2**28
MOST_DAYS: Final = 800  # from START on: no world reaches into the future

DEVICES: Final = ("mobile", "desktop", "tablet")
DAY_PARTS: Final = ("night", "morning", "afternoon", "evening")
ENTRY_PAGES: Final = ("home", "search", "item", "category")


class WorldKind(StrEnum):
    """What is simulated."""

    SHOP = "shop"
    ARTICLES = "articles"


def world_kind(name: str) -> WorldKind:
    """The kind of this name; raises SettingsError where there is none."""
    if name not in list(WorldKind):
        raise SettingsError(f"There is no world of kind {name!r}.", f"Name one of {', '.join(WorldKind)}.")
    return WorldKind(name)


@dataclass(frozen=True)
class WorldSpec:
    """A world, wholly: the same spec is the same world, to the byte.

    n_users, n_items: that ever join or appear, those that are there on the first day included.
    Raises SettingsError for a size no world can have.
    """

    kind: WorldKind
    n_users: int
    n_items: int
    n_days: int
    seed: int

    def __post_init__(self) -> None:
        for name, least, most in (
            ("n_users", 1, MOST_USERS),
            ("n_items", LEAST_ITEMS, MOST_ITEMS),
            ("n_days", 1, MOST_DAYS),
            ("seed", 0, 2**63),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise SettingsError(
                    f"A simulated world's {name} is {value}; expected {least} to {most}.",
                    "Say another in params.yaml (`ingest.simulator`) or to `slate simulate`.",
                )

    @property
    def nature(self) -> Nature:
        return NATURES[self.kind]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WorldSpec:
        return cls(**{**value, "kind": WorldKind(value["kind"])})


@dataclass(frozen=True)
class Nature:
    """How people behave in one kind of world.

    Attractiveness, in logits: base_logit where nothing speaks for an item; taste_weight for an item that is wholly of
    the only topic somebody likes; quality_weight per standard deviation of quality; context_weight and season_weight
    scale what circumstances and season do to a topic; thrift_weight what a price does; novelty_weight what a new
    item gains; fatigue_weight what a topic loses that was shown too much; opened_weight what an opened item loses.
    examination_power: the item at position p is looked at with probability p ** -examination_power.
    popularity_power, popularity_shift: the item of rank r is sought with weight (r + shift) ** -power.
    novelty_days, novelty_floor: the age at which what is new about an item falls to 1/e, and what stays.
    topics_liked: the fewer, the narrower the tastes. drift: how far one opened item moves a taste towards itself.
    visits_per_day, visits_shape: mean and shape of the gamma distribution that people's rates of visiting are drawn
    from. returning: how much likelier a visit is right after another. days_until_leaving: mean.
    more_pages: (a, b) of the beta distribution of a person's chance to turn to another page.
    views: by entry page, how many items somebody looks for on their own in a visit, on average; views_shape: of the
    gamma distribution around it, the smaller, the longer its tail.
    cart_logit, cart_taste_weight, purchase_share: of a shop; share_share: of opened items that are passed on.
    read_log_seconds, read_taste_weight: of a newspaper. referred: share of newcomers who came through somebody.
    present_users, present_items: shares that are there on the first day; oldest_item_days: how old those may be.
    weekend: visits on a Saturday or Sunday against those on another day.
    """

    base_logit: float
    taste_weight: float
    quality_weight: float
    context_weight: float
    season_weight: float
    thrift_weight: float
    novelty_weight: float
    fatigue_weight: float
    opened_weight: float
    examination_power: float
    popularity_power: float
    popularity_shift: float
    novelty_days: float
    novelty_floor: float
    topics_liked: float
    drift: float
    visits_per_day: float
    visits_shape: float
    returning: float
    days_until_leaving: float
    more_pages: tuple[float, float]
    views: tuple[float, float, float, float]
    views_shape: float
    cart_logit: float
    cart_taste_weight: float
    purchase_share: float
    share_share: float
    read_log_seconds: float
    read_taste_weight: float
    referred: float
    present_users: float
    present_items: float
    oldest_item_days: int
    weekend: float
    entry_pages: tuple[float, float, float, float]


NATURES: Final[Mapping[WorldKind, Nature]] = {
    WorldKind.SHOP: Nature(
        base_logit=-4.9,
        taste_weight=4.2,
        quality_weight=0.5,
        context_weight=0.5,
        season_weight=0.4,
        thrift_weight=0.3,
        novelty_weight=0.3,
        fatigue_weight=0.8,
        opened_weight=1.5,
        examination_power=0.8,
        popularity_power=0.95,
        popularity_shift=3.0,
        novelty_days=60.0,
        novelty_floor=0.3,
        topics_liked=2.5,
        drift=0.03,
        visits_per_day=0.02,
        visits_shape=0.3,
        returning=3.0,
        days_until_leaving=90.0,
        more_pages=(1.2, 2.4),
        views=(1.2, 3.2, 2.2, 2.6),
        views_shape=0.6,
        cart_logit=-3.7,
        cart_taste_weight=1.6,
        purchase_share=0.31,
        share_share=0.004,
        read_log_seconds=0.0,
        read_taste_weight=0.0,
        referred=0.05,
        present_users=0.3,
        present_items=0.7,
        oldest_item_days=365,
        weekend=1.15,
        entry_pages=(0.35, 0.3, 0.2, 0.15),
    ),
    WorldKind.ARTICLES: Nature(
        base_logit=-4.6,
        taste_weight=3.6,
        quality_weight=0.5,
        context_weight=0.5,
        season_weight=0.15,
        thrift_weight=0.0,
        novelty_weight=0.8,
        fatigue_weight=0.8,
        opened_weight=2.5,
        examination_power=0.6,
        popularity_power=0.95,
        popularity_shift=3.0,
        novelty_days=2.0,
        novelty_floor=0.01,
        topics_liked=3.0,
        drift=0.03,
        visits_per_day=0.08,
        visits_shape=0.35,
        returning=3.0,
        days_until_leaving=120.0,
        more_pages=(1.2, 2.4),
        views=(0.3, 1.2, 1.2, 1.2),
        views_shape=0.7,
        cart_logit=0.0,
        cart_taste_weight=0.0,
        purchase_share=0.0,
        share_share=0.012,
        read_log_seconds=3.4,
        read_taste_weight=1.2,
        referred=0.1,
        present_users=0.4,
        present_items=0.2,
        oldest_item_days=14,
        weekend=0.85,
        entry_pages=(0.55, 0.1, 0.25, 0.1),
    ),
}
