"""The peers: what each needs, and which values are tried on the window before the one that is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final


@dataclass(frozen=True)
class Peer:
    """One peer. requirements: pinned, none where our own environment does; grid: the parameters that are tried.

    is_random: whether the seed changes anything; without it, one fit stands for all seeds.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    grid: tuple[Mapping[str, Any], ...]
    is_random: bool = True

    @property
    def environment(self) -> str:
        """The name of the environment, which peers of equal requirements share; empty for our own."""
        return self.requirements[0].split("=")[0].split("[")[0] if self.requirements else ""


def _grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Every combination."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


_IMPLICIT: Final = ("implicit==0.7.3", "numpy==2.4.6", "pyarrow==26.0.1")
_RECTOOLS: Final = ("rectools[catboost,torch]==0.19.0", "torch==2.13.0", "numpy==1.26.4", "pyarrow==21.0.0")
# lightfm itself, 1.17, does not build with setuptools of today; this is its fork.
_LIGHTFM: Final = ("lightfm-next==1.19.0", "numpy==2.4.6", "pyarrow==26.0.1")
PEERS: Final = (
    Peer("ease", "ease", (), _grid(regularization=(30.0, 100.0, 300.0, 1000.0)), is_random=False),
    Peer(
        "implicit_als",
        "implicit_als",
        _IMPLICIT,
        _grid(factors=(8, 16, 32), regularization=(0.05,), alpha=(2.0, 10.0), iterations=(15,)),
    ),
    Peer(
        "implicit_bpr",
        "implicit_bpr",
        _IMPLICIT,
        _grid(factors=(16, 32), learning_rate=(0.02,), regularization=(0.01, 0.05), iterations=(100,)),
    ),
    Peer("rectools_two_stage", "rectools_two_stage", _RECTOOLS, _grid(target_days=(14, 30), iterations=(100, 300))),
    Peer("lightfm", "lightfm_warp", _LIGHTFM, _grid(no_components=(16, 32), learning_rate=(0.05,), epochs=(10, 30))),
    Peer(
        "rectools_sasrec",
        "rectools_sasrec",
        _RECTOOLS,
        _grid(n_factors=(32,), epochs=(10, 30), session_max_len=(50,), lr=(0.001,)),
    ),
)
