"""Parameters `index`: the vector index."""

from __future__ import annotations

from pydantic import Field

from contracts.settings.group import Group


class IndexSettings(Group):
    """exact_below: catalogues smaller than this are searched exactly; larger ones by HNSW.
    min_recall: measured recall against exact search under which the stage fails, at `recall_k`."""

    exact_below: int = Field(ge=1)
    hnsw_links: int = Field(ge=4, le=128)
    hnsw_ef_construction: int = Field(ge=8, le=2000)
    hnsw_ef_search: int = Field(ge=8, le=2000)
    recall_k: int = Field(ge=1, le=1000)
    min_recall: float = Field(ge=0, le=1)
