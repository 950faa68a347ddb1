"""Publishing a bundle: the feature values that travel in it, into the online store, under their own generation."""

from __future__ import annotations

from pathlib import Path

from feature_store.connection import Client
from feature_store.publishing import Receipt, publish
from feature_store.values import load_schemas
from feature_store.values_folder import ValuesFolder
from recommender.catalogue import Catalogue
from release.manifest import load_manifest


def publish_bundle(client: Client, app: str, bundle: Path, batch_size: int) -> Receipt:
    """Write what is missing of the bundle's values and check what is there; nothing that is served changes.

    Raises StoreError when the store does not take them, PublishIncomplete when it does not hold what was written.
    """
    return publish(
        client,
        app,
        ValuesFolder(bundle / "values"),
        load_schemas(bundle / "features"),
        Catalogue.load(bundle / "catalogue").ids,
        load_manifest(bundle).release_id,
        batch_size,
    )
