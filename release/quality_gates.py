"""Gates on quality, from the evaluation cards that travel in the bundles.

Thin for now: a challenger is compared with the release in production by what both cards say of the same people over
the same test window. Where the cards are of different windows the two are not comparable, and somebody has to
accept that in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ArtefactError
from contracts.settings import PROMOTION_CUTOFF, PromotionSettings
from release.bundle import EVALUATION, read_json
from release.decision import Gate
from release.manifest import REBUILD

METRIC = f"ndcg_at_{PROMOTION_CUTOFF}"
BASELINES = ("popular", "popular_recent")
THIN = "Compared by the figures on both evaluation cards, not person by person."


@dataclass(frozen=True)
class Card:
    """What an evaluation said: the headline figure of people with history, of the baselines on them, and on whom."""

    ndcg: float
    baselines: dict[str, float]
    measured_on: tuple[str, ...]

    @classmethod
    def read(cls, bundle: Path) -> Card:
        """The card of a bundle; raises ArtefactError when it lacks what promotion needs."""
        content = read_json(bundle / EVALUATION)
        try:
            headline, window = content["headline"], content["window"]
            return cls(
                float(headline[METRIC]),
                {name: float(headline[name]) for name in BASELINES if name in headline},
                (str(window["test_start"]), str(window["as_of"]), str(content["people"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{bundle / EVALUATION} is no evaluation card: {error!r}.", REBUILD) from error


def quality_gates(bundle: Path, champion: Path | None, settings: PromotionSettings, accepted: str) -> tuple[Gate, ...]:
    """Floors where nothing is in production yet; otherwise not worse than what is, by more than `max_ndcg_loss`.

    accepted: why somebody accepts a release that cannot be compared; empty where nobody does.
    """
    try:
        card = Card.read(bundle)
        if champion is None:
            return (_floor(card, settings), _not_worse_than_popular(card))
        return (_not_worse(card, Card.read(champion), settings, accepted),)
    except ArtefactError as error:
        return (Gate("ndcg", passed=False, sentence=error.problem),)


def _floor(card: Card, settings: PromotionSettings) -> Gate:
    passed = card.ndcg >= settings.min_ndcg
    sentence = f"NDCG@10 is {card.ndcg:.4f}; with nothing in production yet the floor is {settings.min_ndcg:.4f}."
    return Gate("ndcg", passed, sentence, card.ndcg, settings.min_ndcg)


def _not_worse_than_popular(card: Card) -> Gate:
    best = max(card.baselines.values(), default=0.0)
    sentence = f"NDCG@10 is {card.ndcg:.4f}; the better of most-popular ever and lately has {best:.4f}."
    return Gate("popular", card.ndcg >= best, sentence, card.ndcg, best)


def _not_worse(card: Card, champion: Card, settings: PromotionSettings, accepted: str) -> Gate:
    if card.measured_on != champion.measured_on:
        return _not_comparable(card, champion, accepted)
    least = champion.ndcg - settings.max_ndcg_loss
    sentence = (
        f"NDCG@10 is {card.ndcg:.4f}; the release in production has {champion.ndcg:.4f}, "
        f"of which {settings.max_ndcg_loss:.4f} may be lost. {THIN}"
    )
    return Gate("ndcg", card.ndcg >= least, sentence, card.ndcg, least)


def _not_comparable(card: Card, champion: Card, accepted: str) -> Gate:
    start, end, _ = card.measured_on
    other_start, other_end, _ = champion.measured_on
    sentence = (
        f"Not comparable: NDCG@10 {card.ndcg:.4f} was measured on {start} to {end}, {champion.ndcg:.4f} of the release "
        f"in production on {other_start} to {other_end}, or on other people. "
    )
    if accepted:
        return Gate("ndcg", passed=True, sentence=f"{sentence}Accepted: {accepted}", value=card.ndcg)
    advice = "Look at both, and accept it in words: `slate promote VERSION --accept REASON`."
    return Gate("ndcg", passed=False, sentence=sentence + advice, value=card.ndcg)
