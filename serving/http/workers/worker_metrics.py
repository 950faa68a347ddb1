"""Where the workers of one server keep their numbers, so that any of them can tell the sum.

The files are mapped into memory, and whoever writes to a page that the disk has no room for is killed by SIGBUS, with
no word about a disk. So they lie in memory (/dev/shm) where there is one, all of their room is taken before a worker
starts, and where there is none the workers do without. A worker that is started again goes on in the files of the one
that died: there are as many as there are workers.

A server holds a lock on its folder as long as it lives. A folder that nobody holds was left by a server that was
killed: its workers remove it when they end, and where they were killed too, the next server that starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from contracts.home import Home
from serving.metrics import WORKER_NUMBER, WORKERS_FOLDER

LOG = logging.getLogger(__name__)
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, which others cannot read
# A server of before holds no lock on its folder, which ends alike and begins otherwise.
BEGINNING, ENDING = "slatework-workers-", ".metrics"
# Bytes that the labels of every route, status, stage and arm do not fill, by what the library calls the file.
FILE_BYTES = {
    "counter": 2**18,
    "histogram": 2**20,
    "gauge_livemin": 2**16,
    "gauge_livemax": 2**16,
    "gauge_livesum": 2**18,
}


class Hold:
    """The lock on a folder that says that its server lives; it ends with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError without a folder, BlockingIOError where a server lives."""
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.stat()  # it may have been removed before it was locked
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hold it no longer."""
        os.close(self._descriptor)


@dataclass
class WorkerMetrics:
    """The files of one server's workers. folder: this server's own, emptied when it starts and removed when it ends."""

    folder: Path
    _hold: Hold | None = field(default=None, repr=False)

    @classmethod
    def of(cls, home: Home, name: str) -> WorkerMetrics:
        """Those of the server of this name: in memory, or under SLATE_HOME where that is not to be had."""
        of_home = hashlib.sha256(str(home.root.absolute()).encode()).hexdigest()[:16]
        folder = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else home.root / "serving"
        return cls(folder / f"{BEGINNING}{os.getuid()}-{of_home}-{name}{ENDING}")

    def start(self) -> None:
        """Begin with an empty folder, and remove what servers of this user left that were killed."""
        for left in left_over(self.folder):
            remove_left_over(left)
        shutil.rmtree(self.folder, ignore_errors=True)
        while self._hold is None:  # another server that starts may look at it meanwhile
            self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError, BlockingIOError):
                self._hold = Hold(self.folder)

    def end(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._hold is not None:
            self._hold.close()
            self._hold = None

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


def left_over(beside: Path) -> list[Path]:
    """The folders of this user's servers that no server holds, where the folder `beside` lies."""
    return [folder for folder in beside.parent.glob(f"{BEGINNING}{os.getuid()}-*{ENDING}") if not _is_held(folder)]


def remove_left_over(folder: Path) -> bool:
    """Remove a server's folder unless somebody holds it; whether it is gone."""
    with suppress(FileNotFoundError, BlockingIOError), closing(Hold(folder)):
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _is_held(folder: Path) -> bool:
    try:
        Hold(folder).close()
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


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
