"""Builds the bundle of this format version that the tests of later code must still understand.

Run `python -m tests.golden.build_bundle` once when the format version was raised, and commit the folder it writes;
the folders of earlier versions stay as they are.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

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
        workspace, settings = Path(scratch), small_settings(features={"history_length": 6})
        run_stages(workspace, small_world(n_users=20, n_items=16, n_events=700), settings)
        ingredients = ingredients_of(workspace, settings)
        for fit in (ingredients.shipped, ingredients.measured):
            ranker = Ranker.load(fit.ranking)
            shutil.rmtree(fit.ranking)
            ranker.save(fit.ranking)
        with chdir(workspace):
            evaluate.run(settings)  # the card names the rankers that it measured
        return build_bundle(folder, ingredients)


if __name__ == "__main__":
    target = HERE / f"bundle_v{FORMAT_VERSION}"
    if target.exists():
        sys.exit(f"{target} exists. A bundle that later code must understand is not written again.")
    sys.stdout.write(f"{target}: release {build(target).release_id}\n")
