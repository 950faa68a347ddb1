"""The server process: one application's routes on one socket, until it is told to stop."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
from contextlib import ExitStack
from types import FrameType

import uvicorn

from contracts.errors import PortTaken, WorkspaceError
from contracts.home import Home
from contracts.settings.settings import Settings
from serving.http.answering_queue import AnsweringQueue
from serving.http.api import Api
from serving.http.app import create_app
from serving.http.bounded_http import BoundedHttp
from serving.http.load import Load
from serving.http.slates import Slates
from serving.live.clocks import clock_maker
from serving.live.last_pointer import LastPointer
from serving.live.live_release import LiveRelease
from serving.live.production import OnlineProduction
from serving.logs.event_log import EventLog
from serving.logs.record_spool import RecordSpool
from serving.logs.request_log import RequestLog
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics
from serving.repeated_warnings import OncePerMinute

# The interpreter lets a thread compute for so long before another one gets its turn. By default 5 ms, in which the loop
# and the thread that answers keep each other waiting: a flood of popular answers left 1 in 4 of the slates made.
TURN_S = 0.0005
SPOOL_BYTES = 64 * 2**20  # about 120,000 slates of ten: three hours without Redis at ten requests a second
GRACE_S = 10  # for requests under way when told to stop; the slowest takes its Redis time limits, well under 1 s
BACKLOG = 2048  # as uvicorn's own
LOG = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on this address; port 0 takes a free one. Raises PortTaken when it is in use.

    Who connects before the server runs waits for it.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as refused:
            listening = refused.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
            refused.pop_all()
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return listening


def build_api(home: Home, settings: Settings, spool_name: str) -> Api:
    """Everything one server is made of. spool_name: tells this server's spool from that of another one."""
    metrics = Metrics()
    production = OnlineProduction(home, settings.app, settings.serving)
    last = LastPointer(home, settings.app)
    live = LiveRelease(production, last, clock_maker(settings.serving.clock), metrics, settings.serving)
    spool_path = home.root / "serving" / f"{settings.app}-{spool_name}.events.jsonl"
    spool = RecordSpool(spool_path, SPOOL_BYTES, fsync=settings.serving.fsync)
    requests = RequestLog(production.client, settings.app, settings.serving.request_log_length, metrics)
    values = ValuesLog(production.client, settings.app, settings.serving, metrics)
    remembered_s = round(settings.serving.event_id_hours * 3600)
    log = EventLog(production.client, settings.app, spool, metrics, requests, values, remembered_s)
    slates = Slates(log, metrics)
    return Api(
        settings.app,
        live,
        production,
        log,
        metrics,
        slates,
        AnsweringQueue(Load(settings.serving.max_wait_ms, settings.serving.max_waiting), slates.answer),
        settings.seed,
        staging=settings.serving.staging_header,
        clock=settings.serving.clock,
    )


def log_to_stderr() -> None:
    """Let this process say what it does, and each warning once a minute."""
    handler = logging.StreamHandler()
    handler.addFilter(OncePerMinute())
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[handler]
    )


def http_config(api: Api) -> uvicorn.Config:
    """uvicorn around these routes, with the bounds of a service that anybody may call."""
    return uvicorn.Config(
        create_app(api),
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nobody asks for a client's address
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
    )


def http_server(api: Api) -> uvicorn.Server:
    """The server that has a socket to itself."""
    return uvicorn.Server(http_config(api))


def run(server: uvicorn.Server, listening: socket.socket) -> None:
    """Answer on this socket until SIGTERM or Ctrl-C; then finish what is under way and return.

    Call `exit_quietly_on_sigterm` before whatever must be cleaned up after.
    """
    sys.setswitchinterval(TURN_S)
    try:
        server.run(sockets=[listening])
    except (KeyboardInterrupt, SystemExit):
        LOG.info("Stopped.")
    finally:
        listening.close()


def exit_quietly_on_sigterm() -> None:
    """From here on SIGTERM leaves through whoever cleans up, with exit code 0.

    By default it ends the process at once: while starting, and again after uvicorn has stopped and raised it once more.
    """

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)


def _cannot_listen(host: str, port: int, error: OSError) -> WorkspaceError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"Port {port} on {host} is in use by something else.",
            "Stop that, or serve on another port: set SLATE_API_PORT, or `slate serve --port`.",
        )
    return WorkspaceError(
        f"{host}:{port} cannot be listened on: {error.strerror or error}.",
        "Choose an address of this machine with `slate serve --host` and `--port`.",
    )
