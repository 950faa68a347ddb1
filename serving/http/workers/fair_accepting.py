"""Connections of one socket, divided among the workers: who holds the fewest takes the next one.

The kernel wakes every worker that waits on a socket, and the same one is nearly always first: of twelve connections
that came one after the other, one worker of two took eleven, and the other core had little to do. So a worker that
holds more than another leaves a connection to it for a moment, and takes it only where nobody did: a worker that is
busy, or stopped, keeps nobody waiting for longer than that.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import struct
import tempfile
from typing import IO

import uvicorn

from serving.http.bounded_http import BoundedHttp

LEFT_TO_OTHERS_S = 0.005
_SLOT = struct.Struct("<q")
_NOT_ACCEPTING = -1


class OpenConnections:
    """How many connections each worker holds: a slot a worker, in a file that they have all mapped.

    Who does not accept, because it starts or has died, is waited for by nobody.
    """

    def __init__(self, descriptor: int) -> None:
        self._slots = mmap.mmap(descriptor, os.fstat(descriptor).st_size)

    @staticmethod
    def new_file(n_workers: int) -> IO[bytes]:
        """A file without a name for so many workers, none of which accepts."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is open for as long as the workers live
        file.write(_SLOT.pack(_NOT_ACCEPTING) * n_workers)
        file.flush()
        return file

    def tell(self, worker: int, n_connections: int) -> None:
        """The worker of this number, from 0, holds so many."""
        _SLOT.pack_into(self._slots, worker * _SLOT.size, n_connections)

    def tell_gone(self, worker: int) -> None:
        """The worker does not accept any more."""
        self.tell(worker, _NOT_ACCEPTING)

    def has_fewest(self, worker: int) -> bool:
        """Whether no other worker that accepts holds fewer."""
        held: list[int] = [n_connections for (n_connections,) in _SLOT.iter_unpack(self._slots[:])]
        return held[worker] <= min(n_connections for n_connections in held if n_connections != _NOT_ACCEPTING)


class FairServer(uvicorn.Server):
    """uvicorn's server as one of several workers on a socket. worker: its number, from 0."""

    def __init__(self, config: uvicorn.Config, connections: OpenConnections, worker: int) -> None:
        super().__init__(config)
        self._connections = connections
        self._worker = worker
        self._listening: list[socket.socket] = []
        self._accepting: set[asyncio.Task[tuple[asyncio.Transport, BoundedHttp]]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as ever, but for accepting, which is done here."""
        await super().startup(sockets=[])
        self._tell()
        for listening in sockets or []:
            listening.setblocking(False)
            self._listening.append(listening)
            self._look_at(listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end as ever."""
        loop = asyncio.get_running_loop()
        while self._listening:
            loop.remove_reader(self._listening.pop())
        self._connections.tell_gone(self._worker)
        await super().shutdown(sockets=sockets)

    def _look_at(self, listening: socket.socket) -> None:
        if listening in self._listening:
            asyncio.get_running_loop().add_reader(listening, self._somebody_waits, listening)

    def _somebody_waits(self, listening: socket.socket) -> None:
        if self._connections.has_fewest(self._worker):
            self._accept(listening)
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(LEFT_TO_OTHERS_S, self._accept_what_is_left, listening)

    def _accept_what_is_left(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._accept(listening)
            self._look_at(listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:  # somebody else took it, or the client has gone
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _protocol(self) -> BoundedHttp:
        return BoundedHttp(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            note_connections=self._tell,
        )

    def _tell(self) -> None:
        self._connections.tell(self._worker, len(self.server_state.connections))
