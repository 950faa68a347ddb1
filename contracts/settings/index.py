"""Parameters `index`: the vector index."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.settings.group import Group

IndexKind = Literal["flat", "by_length", "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq"]


class IndexSettings(Group):
    """kind: of index (recommender/index/searchers.py) for many vectors. `auto` is `by_length`, which is exact, where
    hardly a search looks at more than `exact_below` vectors; else the smallest that finds `min_recall`: `ivf_sq8`,
    `ivf_flat` or at last `flat`.
    exact_below: fewer vectors than this are all looked at, whatever the kind.
    hnsw_links, hnsw_ef_construction, hnsw_ef_search: of the graph. ivf_lists: how many; null is 4 times the root of the
    number of vectors. ivf_probes: how many lists are looked at, at least; the stage raises it, or hnsw_ef_search, as
    far as `min_recall` needs.
    min_recall: measured recall against exact search under which the stage fails, at `recall_k`; also among the items of
    each of the largest categories."""

    kind: IndexKind | Literal["auto"] = "auto"
    exact_below: int = Field(ge=1)
    hnsw_links: int = Field(ge=4, le=128)
    hnsw_ef_construction: int = Field(ge=8, le=2000)
    hnsw_ef_search: int = Field(ge=8, le=2000)
    ivf_lists: int | None = Field(default=None, ge=1, le=1_000_000)
    ivf_probes: int = Field(default=64, ge=1, le=1_000_000)
    recall_k: int = Field(ge=1, le=1000)
    min_recall: float = Field(ge=0, le=1)
