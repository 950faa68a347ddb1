"""The bundle of a version in the registry, as this machine keeps it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from release.bundle.bundle_store import BundleStore
from release.registry.registry import Registry, Version


def kept_bundle(registry: Registry, version: Version) -> Path:
    """Where the bundle of a version lies on this machine; it is brought from the registry where it is not here yet.

    Raises RegistryUnavailable when it has to be brought and MLflow is away, ArtefactError when what comes is damaged.
    """
    home, store = registry.home, BundleStore(registry.home)
    if version.release_id in store.release_ids():
        return store.path(version.release_id)
    home.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".download-") as scratch:
        return store.keep(registry.download_bundle(version, Path(scratch)))
