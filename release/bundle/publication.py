"""Publishing for a release: feature values of it into the online store, under their own generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.id_map import IdMap
from feature_store.online.connection import Client
from feature_store.online.receipt import Receipt
from feature_store.publishing.append_only_rewrite import rewrite_append_only
from feature_store.publishing.publishing import publish
from feature_store.values.values import FeatureSchemas, load_schemas
from feature_store.values.values_folder import ValuesFolder
from recommender.catalogue import Catalogue
from release.bundle.manifest import REBUILD, VALUES_FOLDER
from release.bundle.parts import check_whole

if TYPE_CHECKING:
    from release.bundle.bundle import Release


def publish_bundle(client: Client, app: str, bundle: Path, batch_size: int, values: Path | None = None) -> Receipt:
    """Write what is missing of these values for the bundle's release and check what is there.

    values: the folder of one of the release's generations; without one, the generation of the bundle. Nothing that is
    served changes.

    Raises StoreError when the store does not take them, PublishIncomplete when it does not hold what was written;
    ArtefactError when the bundle is damaged, ReleaseMismatch when its parts are of different builds.
    """
    manifest, source = check_whole(bundle), ValuesFolder(values or bundle / VALUES_FOLDER)
    if values is None and source.generation_id != manifest.generation_id:
        raise ReleaseMismatch(
            f"{bundle / VALUES_FOLDER} holds generation {source.generation_id}, "
            f"the manifest says {manifest.generation_id}.",
            REBUILD,
        )
    schemas, item_ids = load_schemas(bundle / "features"), Catalogue.load(bundle / "catalogue").ids
    return _publish(client, app, source, schemas, item_ids, manifest.release_id, batch_size)


def publish_release(client: Client, app: str, release: Release, batch_size: int) -> Receipt:
    """Write what is missing of the own generation of a bundle that was loaded, and so compared byte by byte.

    Raises ArtefactError when it was loaded from no bundle, ReleaseMismatch when it answers by other values than the
    bundle publishes (as what was measured does), and as `publish_bundle` does.
    """
    if release.folder is None:
        raise ArtefactError(f"Release {release.release_id} is no bundle: it has no values to publish.", REBUILD)
    source = ValuesFolder(release.folder / VALUES_FOLDER)
    if (release.generation_id, release.as_of) != (source.generation_id, source.as_of):
        raise ReleaseMismatch(
            f"Release {release.release_id} is of generation {release.generation_id}, as of "
            f"{release.as_of.isoformat()}; {release.folder / VALUES_FOLDER} holds {source.generation_id}, as of "
            f"{source.as_of.isoformat()}.",
            f"Publish what `load_bundle` gives, never `load_measured`. {REBUILD}",
        )
    return _publish(client, app, source, release.schemas, release.catalogue.ids, release.release_id, batch_size)


def _publish(
    client: Client,
    app: str,
    source: ValuesFolder,
    schemas: FeatureSchemas,
    item_ids: IdMap,
    release_id: str,
    batch_size: int,
) -> Receipt:
    """Publish; what Redis has to do after it is done before anybody is answered by these values."""
    receipt = publish(client, app, source, schemas, item_ids, release_id, batch_size)
    rewrite_append_only(client, app)
    return receipt
