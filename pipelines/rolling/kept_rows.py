"""A ranker's training rows as one file of plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np

from contracts.artefact import reading
from recommender.ranking.ranker import RankingRows

FILE: Final = "rows.npz"
ARRAYS: Final = ("values", "labels", "group_sizes", "moments", "weights")


def save_rows(rows: RankingRows, folder: Path) -> None:
    """Write `rows.npz` into an existing folder."""
    np.savez(folder / FILE, names=np.array(rows.names), **{name: getattr(rows, name) for name in ARRAYS})


def load_rows(folder: Path) -> RankingRows:
    """Read what `save_rows` wrote; raises ArtefactError when it is damaged."""
    with reading(folder / FILE):
        try:
            with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as saved:
                arrays = dict(saved)
        except BadZipFile as error:
            raise ValueError(error) from error
        return RankingRows(tuple(arrays.pop("names").tolist()), **arrays)
