"""The head of an answer goes out with its body, and never waits for what does not come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.responses import Response
from uvicorn.server import ServerState

from serving.http.bounded_http import BoundedHttp, WholeAnswers

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Transport:
    """Notes what is written, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _name: str) -> None:
        return None

    def pause_reading(self) -> None:
        self.reading = False


def over() -> tuple[Transport, Any]:
    transport = Transport()
    return transport, WholeAnswers(transport)  # type: ignore[arg-type]


def test_head_and_body_are_written_at_once_answer_after_answer() -> None:
    transport, answers = over()
    for body in (b"{}", b"[]"):
        answers.write(HEAD)
        answers.write(body)
        answers.flush()
    assert transport.written == [HEAD + b"{}", HEAD + b"[]"]


def test_of_a_body_in_pieces_the_first_goes_with_the_head() -> None:
    transport, answers = over()
    for part in (HEAD, b"1\r\na\r\n", b"0\r\n\r\n"):
        answers.write(part)
    assert transport.written == [HEAD + b"1\r\na\r\n", b"0\r\n\r\n"]


def test_a_head_that_nothing_follows_is_written_when_the_answer_is_complete_or_the_connection_closed() -> None:
    transport, answers = over()
    answers.write(HEAD)
    answers.flush()
    answers.write(HEAD)
    answers.close()
    assert transport.written == [HEAD, HEAD]
    assert answers.is_closing()


def test_a_client_that_waits_to_be_told_to_go_on_is_told_at_once() -> None:
    transport, answers = over()
    answers.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_an_answer_that_comes_whole_is_written_as_it_comes() -> None:
    transport, answers = over()
    answers.write(HEAD + b"{}")
    assert transport.written == [HEAD + b"{}"]


@pytest.mark.parametrize(("method", "body"), [(b"GET", b"{}"), (b"HEAD", b"")])
def test_each_answer_is_one_call_of_the_system(method: bytes, body: bytes) -> None:
    transport = Transport()

    async def within_a_loop() -> None:
        config = uvicorn.Config(Response(b"{}"), log_config=None, lifespan="off")
        config.load()
        protocol = BoundedHttp(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)  # type: ignore[arg-type]
        for _ in range(2):
            protocol.data_received(method + b" / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.gather(*protocol.tasks)
        protocol.connection_lost(None)

    asyncio.run(within_a_loop())
    assert [answer.partition(b"\r\n\r\n")[2] for answer in transport.written] == [body, body]


def test_everything_else_is_the_transports_own() -> None:
    transport, answers = over()
    answers.pause_reading()
    assert not transport.reading
