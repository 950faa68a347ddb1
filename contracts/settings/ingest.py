"""Parameters `ingest`: where the data comes from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.settings.files import Files
from contracts.settings.group import Group

MovieLensName = Literal["ml-latest-small", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"]


class SimulatorSettings(Group):
    """A world that is made up (docs/simulator.md). kind: what it is; n_users, n_items: that ever join or appear;
    seed: another one is another world."""

    kind: Literal["shop", "articles"]
    n_users: int = Field(ge=1)
    n_items: int = Field(ge=100)
    n_days: int = Field(ge=1, le=800)
    seed: int = Field(ge=0)


class IngestSettings(Group):
    """source: where the data comes from.

    path: what sources `files` and `movielens` read: a folder, file or zip relative to the checkout, or a URL.
    DVC watches it, whatever the source: it must exist.
    name: the set that source `movielens` downloads from GroupLens; null reads `path`.
    files: the mapping of source `files` (contracts/settings/files.py); `slate inspect` proposes one.
    simulator: the world of source `simulator`.
    traffic: the folder of what `slate traffic collect` brought; whatever lies there for the application is joined to
    the source's own. DVC watches it: it must exist, and may be empty.
    """

    source: Literal["movielens-100k", "movielens", "files", "simulator"]
    path: str = Field(min_length=1, pattern="^[^~]")
    name: MovieLensName | None = None
    files: Files | None = None
    simulator: SimulatorSettings | None = None
    traffic: str = Field(min_length=1, pattern="^[^~]")

    @model_validator(mode="after")
    def _what_is_needed_is_there(self) -> IngestSettings:
        if self.source == "files" and self.files is None:
            raise ValueError("source `files` needs the mapping `files`: `slate inspect FILE...` proposes one")
        if self.source != "movielens" and self.name is not None:
            raise ValueError("`name` is for source `movielens`: set it to null")
        if self.source == "simulator" and self.simulator is None:
            raise ValueError("source `simulator` makes a world up: say which under `simulator` (see presets/shop.yaml)")
        return self
