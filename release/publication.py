"""Publishing a bundle: the feature values that travel in it, into the online store, under their own generation."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import ReleaseMismatch
from feature_store.connection import Client
from feature_store.publishing import Receipt, publish
from feature_store.values import FeatureValues, load_schemas
from recommender.catalogue import Catalogue
from release.manifest import REBUILD
from release.parts import check_whole


def publish_bundle(client: Client, app: str, bundle: Path, batch_size: int) -> Receipt:
    """Write what is missing of the bundle's values and check what is there; nothing that is served changes.

    Raises StoreError when the store does not take them, PublishIncomplete when it does not hold what was written;
    ArtefactError when the bundle is damaged, ReleaseMismatch when its parts are of different builds.
    """
    manifest = check_whole(bundle)
    values = FeatureValues.load(bundle / "values")
    if values.generation_id != manifest.generation_id:
        raise ReleaseMismatch(
            f"{bundle / 'values'} holds generation {values.generation_id}, the manifest says {manifest.generation_id}.",
            REBUILD,
        )
    schemas, item_ids = load_schemas(bundle / "features"), Catalogue.load(bundle / "catalogue").ids
    return publish(client, app, values, schemas, item_ids, manifest.release_id, batch_size)
