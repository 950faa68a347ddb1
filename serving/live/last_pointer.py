"""The last pointer served, on disk: what a server starts from when Redis is away or has forgotten.

SLATE_HOME/serving/<app>.json    {"release_id", "generation_id", "epoch", "earlier": [release ids, the latest first]}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.fingerprint import canonical_json
from contracts.home import Home
from contracts.whole_files import write_whole
from feature_store.online.pointer import Pointer

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered:
    """The pointer served last. earlier: releases served before it, the latest first: where a rollback would go."""

    pointer: Pointer
    earlier: tuple[str, ...] = ()


class LastPointer:
    """Remembers one application's pointer across restarts; the workers of one server share it."""

    def __init__(self, home: Home, app: str) -> None:
        self.path = home.root / "serving" / f"{app}.json"

    def keep(self, pointer: Pointer, earlier: Sequence[str] = ()) -> None:
        """Write it so that a killed server leaves the old one or the new one.

        A disk that refuses is logged and no more: the release is served all the same.
        """
        content = canonical_json({**asdict(pointer), "earlier": list(earlier)}) + b"\n"
        try:
            write_whole(self.path, content, shared=True)
        except OSError as error:
            LOG.warning("%s could not be written (%s): a start without Redis would find no release.", self.path, error)

    def read(self) -> Remembered | None:
        """What `keep` wrote; None when nothing was, or when it cannot be understood (which is logged)."""
        return _read(self.path) if self.path.exists() else None


def _read(path: Path) -> Remembered | None:
    try:
        content = json.loads(path.read_bytes())
        pointer = Pointer(str(content["release_id"]), str(content["generation_id"]), int(content["epoch"]))
        return Remembered(pointer, tuple(str(release_id) for release_id in content.get("earlier", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        LOG.warning("%s is unreadable and ignored: %r", path, error)
        return None
