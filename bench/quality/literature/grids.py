"""The values that are tried of each generator, by form of file: small, and the same for every data set of the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

from bench.quality.literature.reading import Baskets, Sequences

Values = Mapping[str, Any]  # what is changed of `candidates` in params.yaml
Grid = Mapping[str, tuple[Values, ...]]  # by the name of the generator


def _every(**values: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def _of(group: str, *grids: list[dict[str, Any]]) -> tuple[Values, ...]:
    """Values of one group of `candidates`."""
    return tuple({group: values} for grid in grids for values in grid)


def _named(name: str, *grids: list[dict[str, Any]]) -> tuple[Values, ...]:
    """Values of an item to item of this name."""
    return tuple({"item_to_item": {name: values}} for grid in grids for values in grid)


# Form without times: nothing fades, and a whole history is looked at.
_BASKETS: Final[Grid] = {
    "als": _of("als", _every(factors=[128], alpha=[3.0, 10.0], regularization=[0.05])),
    "covisitation": _of(
        "covisitation",
        _every(n_neighbours=[100, 300], popularity_damping=[0.2, 0.3, 0.5], history_length=[1000], step_weight=[1.0]),
    ),
    "ease": _of(
        "ease",
        [{"decay_days": None, "regularization": 200.0, "n_neighbours": 300}],  # as published, of all pairs
        _every(
            decay_days=[None],
            n_neighbours=[200],
            n_regressors=[100],
            regularization=[1.0, 2.5],
            regularization_power=[1.0],
            length_power=[0.3, 0.5],
            history_damping=[-0.4],
            neighbour_damping=[0.0, 0.1, 0.2],
        ),
    ),
    "graph_filter": _of(
        "graph_filter", _every(decay_days=[None], dim=[128], smoothness=[0.3], n_neighbours=[100, 300])
    ),
    "touched_together": _named(
        "touched_together",
        _every(length_power=[0.5], history_damping=[0.5, 0.65, 0.8], neighbour_damping=[0.1, 0.3]),
    ),
}
_SEQUENCES: Final[Grid] = {
    "als": _of("als", _every(factors=[32, 128], alpha=[3.0, 10.0])),
    "covisitation": _of("covisitation", _every(step_weight=[0.5, 0.7, 0.85, 1.0], popularity_damping=[0.3, 0.5])),
    "ease": _of(
        "ease",
        _every(
            decay_days=[None],
            n_neighbours=[200],
            n_regressors=[50],
            regularization=[1.0, 4.0],
            regularization_power=[1.0],
            length_power=[0.3],
            history_damping=[-0.4],
            neighbour_damping=[0.1],
            step_weight=[0.5, 0.7],
        ),
    ),
    "in_order": _named(
        "in_order",
        _every(
            apart_weight=[0.8, 0.9],
            before_weight=[0.2, 0.4],
            step_weight=[0.5, 0.7],
            length_power=[0.1, 0.3],
            history_damping=[0.5],
            neighbour_damping=[0.1, 0.3],
        ),
    ),
    "next_visit": _of("next_visit", _every(step_weight=[0.4, 0.5, 0.6, 0.7, 0.85, 1.0])),
}
GRIDS: Final[Mapping[type, Grid]] = {Baskets: _BASKETS, Sequences: _SEQUENCES}
