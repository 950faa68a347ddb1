"""One `slate parity`: which answers are in the values log, of which releases, and what they are computed again from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts.errors import ArtefactError, DataTooSmall
from contracts.fingerprint import fingerprint_file
from contracts.home import Home
from contracts.tables import SCHEMAS, CanonicalTables
from feature_store.online.connection import Client
from feature_store.online.event_stream import latest_records
from feature_store.online.keys import values_key
from feature_store.online.packing import moment_of
from feature_store.values.values import load_schemas
from feature_store.values.values_folder import ValuesFolder
from recommender.catalogue import Catalogue
from release.bundle.bundle import CATALOGUE, FEATURES
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationGone, GenerationStore
from release.bundle.manifest import TYPED_SINCE_VERSION, load_manifest
from release.parity.logged_parity import RecomputationInputs, check_logged_values
from release.parity.parity_result import LoggedParity
from release.parity.used_values import UsedValues, parse_record


def check_values_log(
    client: Client, app: str, home: Home, tables: Path, n_requests: int, *, tolerance: float = 0.0
) -> list[LoggedParity]:
    """Compute what the latest answers stood on again from the tables of a folder; one result for each release.

    tolerance: see `RecomputationInputs`.
    Raises DataTooSmall where nothing is logged yet, ArtefactError where a release is not kept here or the tables are
    damaged, ReleaseMismatch where other features are declared than a release has.
    """
    used = [parse_record(record) for record in latest_records(client, values_key(app), n_requests)]
    if not used:
        raise DataTooSmall(
            f"The values log {values_key(app)} is empty: no answer was logged since it is kept.",
            "Let a server answer some (`slate serve`, with `serving.values_log_share` above 0), then ask again.",
        )
    by_release: defaultdict[str, list[UsedValues]] = defaultdict(list)
    for one in used:
        by_release[one.release_id].append(one)
    canonical = CanonicalTables.load(tables)
    return [
        check_logged_values(
            release_id, mine, _recomputation_inputs(home, release_id, mine, tables, canonical, tolerance)
        )
        for release_id, mine in sorted(by_release.items())
    ]


def _recomputation_inputs(
    home: Home, release_id: str, used: Sequence[UsedValues], folder: Path, tables: CanonicalTables, tolerance: float
) -> RecomputationInputs:
    bundle = BundleStore(home).path(release_id)
    manifest = load_manifest(bundle)
    return RecomputationInputs(
        tables=tables,
        schemas=load_schemas(bundle / FEATURES),
        item_ids=Catalogue.load(bundle / CATALOGUE).ids,
        generations={one.generation_id: _generation_as_of(home, one, used) for one in used},
        history_length=int(manifest.params["features"]["history_length"]),
        has_event_types=manifest.format_version >= TYPED_SINCE_VERSION,
        other_tables=tuple(
            name for name in SCHEMAS if fingerprint_file(folder / f"{name}.parquet") != manifest.data.get(name)
        ),
        tolerance=tolerance,
    )


def _generation_as_of(home: Home, one: UsedValues, used: Sequence[UsedValues]) -> datetime:
    """When the generation was true; where its values are kept no more, what its latest row says, in whole seconds."""
    try:
        return ValuesFolder(GenerationStore(home).path(one.release_id, one.generation_id)).as_of
    except GenerationGone:
        mine = [other for other in used if other.generation_id == one.generation_id]
        rows = [rows for other in mine for rows in (other.user, other.items) if rows is not None]
        written = max((int(row.rows.written.max()) for row in rows), default=0)
        if not written:
            raise ArtefactError(
                f"Nobody can tell when generation {one.generation_id} of release {one.release_id} was true: its values "
                "are kept no more, and no row logged of it was known.",
                "Ask about later answers alone: `slate parity --requests N` with a smaller N.",
            ) from None
        return moment_of(written)
