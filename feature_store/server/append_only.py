"""The append-only file of the embedded Redis: what makes a write outlive the server, killed in whichever moment.

A server of ours starts from its append-only file if it was killed, and from its dump if it was saved. Both are needed:
the code of an older release, which a refresh runs, knows the dump alone; it reads and writes that one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from contracts.whole_files import whole_file

DUMP = "dump.rdb"
APPEND_ONLY = "appendonly.aof"
APPEND_ONLY_FOLDER = "appendonlydir"  # where Redis 7 keeps it, in parts
UNSAVED = "unsaved"
DUMP_AFTER_S = 6 * 3600


def append_only_options(folder: Path) -> list[str]:
    """The options with which the server keeps every write, and dumps what it holds when it ends and now and then."""
    return [
        *("--appendonly", "yes"),
        *("--appendfilename", APPEND_ONLY),
        # The operating system has a write before its reply is sent; the disk has it within about a second.
        *("--appendfsync", "everysec"),
        # Who publishes has it rewritten (`feature_store.publishing.append_only_rewrite`); this is for a server to which
        # nobody publishes, where events alone make the file grow. 1 GB is read in some eight seconds.
        *("--auto-aof-rewrite-min-size", "1gb"),
        # Of a rewrite and of a dump, two thirds of the processor's time went into compressing what hardly gets shorter.
        *("--rdbcompression", "no"),
        *("--dbfilename", DUMP),
        *(
            "--save",
            str(DUMP_AFTER_S),
            "1",
        ),  # with a save point, SIGTERM saves too; as one argument Redis 6.2 ignores it
        # A dump that fails in the background must not stop requests: the append-only file has what it would hold.
        *("--stop-writes-on-bgsave-error", "no"),
        # Made before the server starts; the server removes it, as its file of the process id, when it ends saved.
        *("--pidfile", str(folder / UNSAVED)),
    ]


def begin_append_only(folder: Path) -> None:
    """Have the append-only file hold what the server is to start with. To be called while no server lives.

    Redis that is told to append, and finds a dump alone, starts empty. A dump is a sound beginning of an append-only
    file, so the file begins as a second name of the dump: no byte is copied, however large it is or full the disk.
    """
    if not _holds_the_latest(folder):
        _remove(folder)
        if (folder / DUMP).exists():
            _link_or_copy(folder / DUMP, folder / APPEND_ONLY)
    (folder / UNSAVED).touch()


def _holds_the_latest(folder: Path) -> bool:
    """Whether the append-only file has what the dump lacks: the server was killed, or was told to end unsaved."""
    dump = folder / DUMP
    files = [path for path in (folder / APPEND_ONLY, *(folder / APPEND_ONLY_FOLDER).glob("*")) if path.is_file()]
    if not files:
        return False
    if (folder / UNSAVED).exists() or not dump.exists():
        return True
    return max(path.stat().st_mtime_ns for path in files) > dump.stat().st_mtime_ns


def _remove(folder: Path) -> None:
    (folder / APPEND_ONLY).unlink(missing_ok=True)
    shutil.rmtree(folder / APPEND_ONLY_FOLDER, ignore_errors=True)


def _link_or_copy(dump: Path, append_only: Path) -> None:
    try:
        os.link(dump, append_only)
    except OSError:  # not every file system has hard links
        with whole_file(append_only) as unfinished:
            shutil.copyfile(dump, unfinished)
