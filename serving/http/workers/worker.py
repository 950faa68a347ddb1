"""One of several worker processes: answers on a socket that it was handed, until it is told to stop.

    python -m serving.http.workers.worker DESCRIPTOR NAME CONNECTIONS NUMBER

It ends with whoever started it: its input is a pipe, and when that ends, nobody is left to tell it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from contracts.home import find_home
from contracts.settings.settings import load_settings
from serving.http.server import build_api, exit_quietly_on_sigterm, http_config, log_to_stderr, run
from serving.http.workers.fair_accepting import FairServer, OpenConnections
from serving.http.workers.worker_metrics import remove_left_over
from serving.metrics import WORKERS_FOLDER

LET_GO_WITHIN_S, LOOK_AGAIN_S = 5.0, 0.02


def main() -> None:
    """Answer on the socket with this descriptor. NAME: of this worker's spool, the same when it is started again.

    CONNECTIONS: descriptor of the file in which the workers tell how many they hold; NUMBER: this worker's, from 0.
    """
    descriptor, name, connections, number = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    exit_quietly_on_sigterm()
    log_to_stderr()
    threading.Thread(target=_end_with_the_parent, name="parent", daemon=True).start()
    listening = socket.socket(fileno=descriptor)
    config = http_config(build_api(find_home(), load_settings(), spool_name=name))
    run(FairServer(config, OpenConnections(connections), number), listening)


def _end_with_the_parent() -> None:
    while os.read(0, 1):
        pass
    if folder := os.environ.get(WORKERS_FOLDER):
        _remove_metrics(Path(folder))
    os.kill(os.getpid(), signal.SIGTERM)


def _remove_metrics(folder: Path) -> None:
    """Remove what the parent held. What is mapped of it stays so until this process ends.

    A killed parent lets go of its input before it lets go of the folder, and another worker may be at it. A new server
    that took the folder over keeps it.
    """
    end = time.monotonic() + LET_GO_WITHIN_S
    while not remove_left_over(folder) and time.monotonic() < end:
        time.sleep(LOOK_AGAIN_S)


if __name__ == "__main__":
    main()
