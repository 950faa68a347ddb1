"""The bundles this machine keeps, one folder per release id under SLATE_HOME/bundles: what servers load from."""

from __future__ import annotations

import shutil
from pathlib import Path

from contracts.errors import ArtefactError
from contracts.home import Home
from contracts.whole_files import content_folder
from release.bundle.manifest import MANIFEST, RELEASE_ID, check_files, load_manifest


class BundleStore:
    """Keeps whole, checked bundles: a folder is there completely or not at all."""

    def __init__(self, home: Home) -> None:
        self._root = home.bundles

    def keep(self, folder: Path) -> Path:
        """Copy a bundle into the store, and return where it is kept; one that is there already is checked, not copied.

        Raises ArtefactError, or ReleaseMismatch printing both fingerprints, when either of them is damaged.
        """
        manifest = load_manifest(folder)
        check_files(folder, manifest)
        kept = self._root / manifest.release_id
        if not (kept / MANIFEST).is_file():
            with content_folder(kept, last=MANIFEST) as copy:
                shutil.copytree(folder, copy)
        check_files(kept, load_manifest(kept))
        return kept

    def path(self, release_id: str) -> Path:
        """Where a release is kept; raises ArtefactError when it is not."""
        kept = self._root / release_id
        if not RELEASE_ID.fullmatch(release_id) or not (kept / MANIFEST).is_file():
            held = ", ".join(self.release_ids()) or "none"
            raise ArtefactError(
                f"{self._root} does not hold release {release_id!r}; it holds {held}.",
                "Bring it back: `git checkout release/<id>`, `dvc checkout`, then `slate register`.",
            )
        return kept

    def release_ids(self) -> list[str]:
        """The releases kept here, in the order of their ids."""
        return sorted(path.parent.name for path in self._root.glob(f"r-*/{MANIFEST}"))
