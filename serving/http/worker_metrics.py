"""Where the workers of one server keep their numbers, so that any of them can tell the sum.

The files are mapped into memory, and whoever writes to a page that the disk has no room for is killed by SIGBUS, with
no word about a disk. So they lie in memory (/dev/shm) where there is one, all of their room is taken before a worker
starts, and where there is none the workers do without. A worker that is started again goes on in the files of the one
that died: there are as many as there are workers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from contracts.home import Home
from serving.metrics import WORKER_NUMBER, WORKERS_FOLDER

LOG = logging.getLogger(__name__)
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, which others cannot read
# Bytes that the labels of every route, status, stage and arm do not fill, by what the library calls the file.
FILE_BYTES = {
    "counter": 2**18,
    "histogram": 2**20,
    "gauge_livemin": 2**16,
    "gauge_livemax": 2**16,
    "gauge_livesum": 2**18,
}


@dataclass(frozen=True)
class WorkerMetrics:
    """The files of one server's workers. folder: this server's own, emptied when it starts and removed when it ends."""

    folder: Path

    @classmethod
    def of(cls, home: Home, name: str) -> WorkerMetrics:
        """Those of the server of this name: in memory, or under SLATE_HOME where that is not to be had."""
        server = f"{name}.metrics"
        if not os.access(IN_MEMORY, os.W_OK):
            return cls(home.root / "serving" / server)
        of_home = hashlib.sha256(str(home.root.absolute()).encode()).hexdigest()[:16]
        return cls(IN_MEMORY / f"slatework-{os.getuid()}-{of_home}-{server}")

    def start(self) -> None:
        """Begin with an empty folder."""
        self.end()
        self.folder.mkdir(parents=True, mode=0o700)

    def end(self) -> None:
        """Remove the folder, and what an earlier server left in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, number: int) -> dict[str, str]:
        """What the worker of this number must be started with; nothing where there is no room for its files.

        Without, it tells its own numbers, and answers.
        """
        try:
            for kind, n_bytes in FILE_BYTES.items():
                _take_room(self.folder / f"{kind}_{number}.db", n_bytes)
        except OSError as error:
            LOG.error(  # noqa: TRY400 - where it happened says nothing more
                "There is no room for the metrics of worker %d in %s (%s; %s bytes are free): it tells its own alone.",
                number,
                self.folder,
                error.strerror,
                free_bytes(self.folder),
            )
            return {}
        return {WORKERS_FOLDER: str(self.folder), WORKER_NUMBER: str(number)}

    def note_death(self, number: int) -> None:
        """The worker of this number died: what it told of itself as it was does not count any more."""
        mark_process_dead(number, self.folder)  # type: ignore[no-untyped-call]


def free_bytes(folder: Path) -> int:
    """What the disk of the folder has left."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(existing).free


def _take_room(path: Path, n_bytes: int) -> None:
    """Make the file so large, with room on the disk for all of it; what is no file of the library's is emptied."""
    if path.exists() and not _is_readable(path):
        path.unlink()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, n_bytes)
    finally:
        os.close(descriptor)


def _is_readable(path: Path) -> bool:
    """Whether a worker that starts could go on in the file: one that was killed may have left half a word in it."""
    try:
        list(MmapedDict.read_all_values_from_file(path))  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever it dies of, the worker would die of it too
        return False
    return True
