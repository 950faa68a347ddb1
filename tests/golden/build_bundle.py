"""Builds the bundle of this format version that the tests of later code must still understand.

Run `python -m tests.golden.build_bundle` once when the format version was raised, and commit the folder it writes;
the folders of earlier versions stay as they are.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from contracts.attributes import attributes_cell
from contracts.tables import CanonicalTables
from pipelines import evaluate
from recommender.ranking.ranker import Ranker
from release.bundle.bundle import Release
from release.bundle.manifest import FORMAT_VERSION
from release.bundle_build import build_bundle
from tests.release_worlds import ingredients_of, run_stages, small_settings
from tests.worlds import small_world

HERE = Path(__file__).resolve().parent


def build(folder: Path) -> Release:
    """A release of a very small world, without the pictures of its rankers: they would be most of its size."""
    with tempfile.TemporaryDirectory() as scratch:
        # Short histories, so that there is something they are too short to hold.
        changes: dict[str, dict[str, Any]] = {"features": {"history_length": 6}, "release": {"n_golden_queries": 11}}
        workspace, settings = Path(scratch), small_settings(**changes)
        run_stages(workspace, _with_stock_and_attributes(small_world(n_users=20, n_items=16, n_events=700)), settings)
        ingredients = ingredients_of(workspace, settings)
        for fit in (ingredients.shipped, ingredients.measured):
            ranker = Ranker.load(fit.ranking)
            for picture in fit.ranking.glob("*.png"):
                picture.unlink()
            ranker.save(fit.ranking)  # its meta names the other files again
        with chdir(workspace):
            evaluate.run(settings)  # the card names the rankers that it measured
        return build_bundle(folder, ingredients)


def _with_stock_and_attributes(world: CanonicalTables) -> CanonicalTables:
    """The world with an item in five out of stock, and an attribute of each type that most items have."""
    number = pl.int_range(pl.len())
    told = [
        attributes_cell({"colour": ("red", "blue")[item % 2], "weight": item / 4, "vegan": item % 3 == 0})
        for item in range(len(world.items) - 1)
    ]
    items = world.items.with_columns(in_stock=number % 5 > 0, attributes=pl.Series([*told, None], dtype=pl.String))
    return replace(world, items=items)


if __name__ == "__main__":
    target = HERE / f"bundle_v{FORMAT_VERSION}"
    if target.exists():
        sys.exit(f"{target} exists. A bundle that later code must understand is not written again.")
    sys.stdout.write(f"{target}: release {build(target).release_id}\n")
