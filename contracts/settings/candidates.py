"""Parameters `candidates`: which generators there are, and their families."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from contracts.events import POSITIVE_EVENTS, EventType
from contracts.settings.group import Group
from contracts.settings.search_range import SearchRange

# Fitted unless they are off.
ALWAYS_THERE: Final = (
    "als",
    "content",
    "covisitation",
    "covisitation_max",
    "new_arrivals",
    "next_visit",
    "popular",
    "popular_newcomers",
    "popular_recent",
    "popular_returning",
    "popular_segment",
)
# Fitted where they are given.
WHERE_GIVEN: Final = ("ease", "graph_filter", "sequence", "similar_texts", "two_tower")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
NAME_RULE: Final = "a letter, and then letters, digits and _, all of them small, 63 at most"
# What a release cannot do without, and why.
NEVER_OFF: Final = {
    "als": "the vector index holds its vectors",
    "popular": "it is what is left to propose where nothing else is",
}


class AlsSettings(Group):
    """Hu, Koren and Volinsky 2008. factors: width of a vector; alpha: confidence of one event; engine: what solves it,
    `implicit` in this process or `spark`, which needs `make spark` and Java, and an alpha above 1."""

    engine: Literal["implicit", "spark"] = "implicit"
    factors: Annotated[int, SearchRange(8, 128, log=True)] = Field(ge=1, le=1024)
    regularization: Annotated[float, SearchRange(0.001, 1, log=True)] = Field(ge=0)
    alpha: Annotated[float, SearchRange(1, 100, log=True)] = Field(gt=0)
    iterations: Annotated[int, SearchRange(5, 30)] = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _is_surer_than_no_event(self) -> AlsSettings:
        if self.engine == "spark" and self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha:g}; with `engine: spark` it is above 1, the confidence of no event")
        return self


class CovisitationSettings(Group):
    """The item-to-item generators. decay_days: age at which an event counts 1/e; visit_gap_hours: a longer pause ends a
    visit; n_neighbours: kept per item; popularity_damping: 0 divides by the popularity of the item of the history, 1 by
    that of the neighbour; history_length: latest items of a history that are looked at; step_weight: of `covisitation`,
    the item n steps back from the latest of a history counts step_weight ** n."""

    decay_days: Annotated[float, SearchRange(5, 365, log=True)] = Field(gt=0)
    visit_gap_hours: Annotated[float, SearchRange(1, 72, log=True)] = Field(gt=0)
    n_neighbours: Annotated[int, SearchRange(20, 300, log=True)] = Field(ge=1, le=10_000)
    popularity_damping: Annotated[float, SearchRange(0, 1)] = Field(ge=0, le=1)
    history_length: int = Field(ge=1, le=10_000)
    step_weight: Annotated[float, SearchRange(0.5, 1)] = Field(default=1.0, gt=0, le=1)


class NextVisitSettings(Group):
    """step_weight: the item n steps back from the latest of a history counts step_weight ** n. The rest is as said for
    the other item-to-item generators."""

    step_weight: Annotated[float, SearchRange(0.5, 1)] = Field(default=1.0, gt=0, le=1)


class ItemToItemSettings(Group):
    """One more item-to-item generator, of a range or of types of event; the rest is as in `covisitation`.

    decay_days: age at which an event counts 1/e, null: however old it is; step_weight: as there; pooling: the mean over
    a history, or its one item that speaks most. from_events, to_events: an item's neighbours are what people did the
    second with who did the first with it, null for any event.

    apart_weight: what somebody did n steps after the item, or before it, counts apart_weight ** (n - 1), and nothing
    once that is below 0.001; events of all types are steps, whatever from_events and to_events say. before_weight: what
    came before it counts this much beside what came after; both 1: which came when is not looked at, and an item counts
    once for a person. length_power: a pair in a history of n items counts 1 / n ** length_power, null: 0.3, with the
    pooling `max` 0.5. history_damping, neighbour_damping: a pair is divided by the mass of the item of the
    history, and of the neighbour, to these powers; null: what is left of 1 by `popularity_damping`, and that.
    """

    decay_days: float | None = Field(default=None, gt=0)
    step_weight: float = Field(default=1.0, gt=0, le=1)
    pooling: Literal["mean", "max"] = "mean"
    from_events: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    to_events: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    apart_weight: float = Field(default=1.0, gt=0, le=1)
    before_weight: float = Field(default=1.0, ge=0, le=1)
    length_power: float | None = Field(default=None, ge=0, le=2)
    history_damping: float | None = Field(default=None, ge=0, le=2)
    neighbour_damping: float | None = Field(default=None, ge=0, le=2)

    @field_validator("from_events", "to_events")
    @classmethod
    def _are_fitted_on(cls, events: tuple[EventType, ...] | None) -> tuple[EventType, ...] | None:
        others = sorted(set(events or ()) - POSITIVE_EVENTS)
        if others:
            raise ValueError(f"generators never see {', '.join(others)}; they see {', '.join(sorted(POSITIVE_EVENTS))}")
        return events

    @model_validator(mode="after")
    def _one_item_has_no_steps(self) -> ItemToItemSettings:
        if self.pooling == "max" and self.step_weight != 1:
            raise ValueError("step_weight is for the mean over a history; pooling is max")
        return self


class EaseSettings(Group):
    """Steck 2019: item to item by a regression in closed form, of all pairs of items at once.

    regularization: the paper's lambda; decay_days: age at which an event counts 1/e, null: however old it is;
    n_neighbours: kept per item; step_weight: the item n steps back from the latest counts step_weight ** n.

    n_regressors: each item is told by the n alone that go with it most, null: by all. regularization_power: an item's
    regularization is multiplied by its mass to this power. length_power: a pair of items in a history of n counts
    1 / n ** length_power, an item with itself too. history_damping, neighbour_damping: a weight is divided by the mass
    of the item of the history, and of the neighbour, to these powers; below 0 it is multiplied. All four are 0 in the
    paper.
    """

    regularization: float = Field(default=20.0, gt=0)
    decay_days: float | None = Field(default=60.0, gt=0)
    n_neighbours: int = Field(default=100, ge=1, le=10_000)
    step_weight: float = Field(default=1.0, gt=0, le=1)
    n_regressors: int | None = Field(default=None, ge=1, le=1000)
    regularization_power: float = Field(default=0.0, ge=0, le=1)
    length_power: float = Field(default=0.0, ge=0, le=2)
    history_damping: float = Field(default=0.0, ge=-1, le=1)
    neighbour_damping: float = Field(default=0.0, ge=-1, le=1)


class GraphFilterSettings(Group):
    """GF-CF, Shen et al. 2021: item to item by the graph of who touched what.

    dim: smoothest directions of the graph (the largest singular vectors); smoothness: their weight beside neighbours
    two steps away (the paper's alpha). decay_days, n_neighbours, step_weight: as of `ease`.
    """

    dim: int = Field(default=64, ge=1, le=1024)
    smoothness: float = Field(default=0.3, ge=0)
    decay_days: float | None = Field(default=60.0, gt=0)
    n_neighbours: int = Field(default=100, ge=1, le=10_000)
    step_weight: float = Field(default=1.0, gt=0, le=1)


class DeepSettings(Group):
    """What deep generators learn, and how.

    What is told is one of the next `horizon` items after a pause of visit_gap_hours: what somebody comes back for;
    null: whenever they came. decay_days: age at which an item that is told counts 1/e, null: all alike. length: latest
    items of a history that are read. dim: width of a vector. n_epochs, learning_rate, weight_decay: of AdamW.
    device: cpu, or cuda; the bytes differ.
    """

    dim: int = Field(default=32, ge=4, le=1024)
    length: int = Field(default=100, ge=2, le=1000)
    visit_gap_hours: float | None = Field(default=12.0, gt=0)
    horizon: int = Field(default=100, ge=1, le=1000)
    decay_days: float | None = Field(default=60.0, gt=0)
    n_epochs: int = Field(default=10, ge=1, le=10_000)
    learning_rate: float = Field(default=0.002, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    device: Literal["cpu", "cuda"] = "cpu"


class SequenceSettings(DeepSettings):
    """SASRec, Kang and McAuley 2018: a transformer reads the latest items of a history and tells what comes.

    n_blocks, n_heads: layers, and parts in which a layer compares. dropout: share of numbers left out in training;
    batch_size: in sequences. n_negatives: items that the one that is told is held against, drawn for each batch; where
    the catalogue has no more, all of them.
    """

    n_blocks: int = Field(default=2, ge=1, le=16)
    n_heads: int = Field(default=1, ge=1, le=16)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    batch_size: int = Field(default=16, ge=1, le=100_000)
    n_negatives: int = Field(default=512, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> SequenceSettings:
        if self.dim % self.n_heads:
            raise ValueError(f"dim is {self.dim}, which {self.n_heads} heads do not divide evenly")
        return self


class TwoTowerSettings(DeepSettings):
    """Two towers, Covington et al. 2016 and Yi et al. 2019: one makes a vector of a person's history, one of an item.

    engine: what trains them, `torch` (PyTorch and TorchRec) or `tfrs` (TensorFlow Recommenders, on the cpu alone).
    width: of the hidden layer of a tower. step_weight: the item n steps back from the latest counts step_weight ** n.
    id_dropout: share of item ids that are left out in training, so that what else is known of an item learns to speak
    for it. batch_size: what is told to the people of a batch is what each is held against (in-batch negatives).
    """

    engine: Literal["torch", "tfrs"] = "torch"
    width: int = Field(default=64, ge=1, le=4096)
    step_weight: float = Field(default=0.95, gt=0, le=1)
    id_dropout: float = Field(default=0.3, ge=0, lt=1)
    n_epochs: int = Field(default=4, ge=1, le=10_000)
    batch_size: int = Field(default=512, ge=2, le=1_000_000)

    @model_validator(mode="after")
    def _engine_knows_the_device(self) -> TwoTowerSettings:
        if self.engine == "tfrs" and self.device != "cpu":
            raise ValueError(f"device is {self.device}; with `engine: tfrs` it is cpu, for TensorFlow is here for CPUs")
        return self


class ContentVectorSettings(Group):
    """What an item's title and text become: a vector of `dim` numbers. It tells the ranker how like two items are, and
    `similar_texts` what to propose. model: `words`, learnt of these very texts (TF-IDF and latent semantic analysis),
    or `sentences`, a static model of English that comes with the package wordllama (`make sentences`)."""

    model: Literal["words", "sentences"] = "words"
    dim: int = Field(default=12, ge=2, le=256)


class SimilarTextsSettings(Group):
    """What is most like the items of a history by title and text, whoever touched it. n_neighbours: kept of each item;
    step_weight: as in the other item-to-item generators."""

    n_neighbours: int = Field(default=100, ge=1, le=10_000)
    step_weight: float = Field(default=0.8, gt=0, le=1)


class PopularSettings(Group):
    """recent_days: the window of what is popular of late.
    segment_smoothing: everybody's events mixed into a segment's own."""

    recent_days: Annotated[float, SearchRange(3, 120, log=True)] = Field(gt=0)
    segment_smoothing: Annotated[float, SearchRange(1, 1000, log=True)] = Field(ge=0)


class CandidateSettings(Group):
    """One group per family of generators; all that are popular, in whatever window or segment, share theirs.

    ease, graph_filter, similar_texts: there where they are given; so are sequence and two_tower, which guests train
    (docs/deep.md).
    item_to_item: further generators, by name.
    own: classes of the project's own, as package.module:Class (docs/own-generator.md).
    off: generators that are not there at all: neither fitted, nor stored, asked, or a feature of the ranker. (One with
    the quota 0 proposes nothing, and is everything else.)
    """

    als: AlsSettings
    covisitation: CovisitationSettings
    next_visit: NextVisitSettings = NextVisitSettings()
    popular: PopularSettings
    content_vectors: ContentVectorSettings = ContentVectorSettings()
    ease: EaseSettings | None = None
    graph_filter: GraphFilterSettings | None = None
    sequence: SequenceSettings | None = None
    similar_texts: SimilarTextsSettings | None = None
    two_tower: TwoTowerSettings | None = None
    item_to_item: dict[str, ItemToItemSettings] = Field(default_factory=dict)
    own: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    @field_validator("off")
    @classmethod
    def _can_be_off(cls, off: tuple[str, ...]) -> tuple[str, ...]:
        for name in off:
            if name in NEVER_OFF:
                raise ValueError(f"{name} cannot be off: {NEVER_OFF[name]}. Its quota may be 0")
            if name not in ALWAYS_THERE:
                others = ", ".join(known for known in ALWAYS_THERE if known not in NEVER_OFF)
                raise ValueError(f"there is no generator {name!r} to turn off; these may be: {others}")
        return off

    @field_validator("item_to_item")
    @classmethod
    def _are_new_names(cls, named: dict[str, ItemToItemSettings]) -> dict[str, ItemToItemSettings]:
        for name in named:
            if name in (*ALWAYS_THERE, *WHERE_GIVEN):
                raise ValueError(f"{name} is the name of a generator already; take another, such as {name}_ever")
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a generator: {NAME_RULE}")
        return named
