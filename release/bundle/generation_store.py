"""The generations this machine keeps: a release's own in its bundle, fresher ones under SLATE_HOME/generations.

Whoever publishes a generation again (Redis was flushed, a rollback goes back to it) finds its values here.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import ArtefactError
from contracts.home import Home
from contracts.whole_files import content_folder
from feature_store.values.file_names import VALUES
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import VALUES_FOLDER, load_manifest

if TYPE_CHECKING:
    from feature_store.values.values import FeatureValues


class GenerationGone(ArtefactError):
    """The values of a generation are not kept on this machine any more."""


class GenerationStore:
    """Keeps whole generations: a folder is there completely or not at all."""

    def __init__(self, home: Home) -> None:
        self._root = home.generations
        self._bundles = BundleStore(home)

    def keep(self, values: FeatureValues) -> Path:
        """Write the values unless they are there, and return where they lie."""
        kept = self._root / values.generation_id
        if not (kept / VALUES).is_file():
            with content_folder(kept, last=VALUES) as unfinished:
                values.save(unfinished)
        return kept

    def path(self, release_id: str, generation_id: str) -> Path:
        """Where the values of a release's generation lie.

        Raises ArtefactError when the release, or this generation of it, is not kept here.
        """
        bundle = self._bundles.path(release_id)
        if load_manifest(bundle).generation_id == generation_id:
            return bundle / VALUES_FOLDER
        kept = self._root / generation_id
        if not (kept / VALUES).is_file():
            held = ", ".join(self.generation_ids()) or "none"
            raise GenerationGone(
                f"{self._root} does not hold generation {generation_id!r} of release {release_id}; it holds {held}.",
                "Publish fresher values: `dvc repro features`, then `slate refresh`.",
            )
        return kept

    def generation_ids(self) -> list[str]:
        """The generations kept beside the bundles, in the order of their ids."""
        return sorted(path.parent.name for path in self._root.glob(f"[!.]*/{VALUES}"))

    def forget_all_but(self, generation_ids: Collection[str]) -> list[str]:
        """Remove every other generation from the disk; returns which. Those in bundles stay."""
        gone = [generation_id for generation_id in self.generation_ids() if generation_id not in generation_ids]
        for generation_id in gone:
            (self._root / generation_id / VALUES).unlink()  # without it the folder is none of ours any more
            shutil.rmtree(self._root / generation_id)
        return gone
