"""Many commands to Redis in one round trip, without redis-py's work per argument, which at millions of values is most
of the work there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
import redis
from redis.exceptions import MovedError, ResponseError

from feature_store.online.nodes import node_of, refresh_slots

Command = tuple[bytes | str, ...]

_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)


def send_pipelined(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    """The answers, in the order of the commands, all of which are carried out even when one is refused.

    A refusal is an answer too, an exception (see `raise_refused`). A lost connection is raised: how far the server came
    is not known then. In a cluster all commands must be about keys of one slot; where their node is another one by now,
    all are sent again.
    """
    if not commands:
        return []
    answers = _send(node_of(client, str(commands[0][1])), commands)
    if any(isinstance(answer, MovedError) for answer in answers):
        refresh_slots(client)
        answers = _send(node_of(client, str(commands[0][1])), commands)
    return answers


def _send(node: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    connection: Any = node.connection_pool.get_connection()
    try:
        connection.send_packed_command([b"".join(map(_pack, commands))])
        return [_reply(connection) for _ in commands]
    except BaseException:
        connection.disconnect()  # answers may be on their way, and would be taken for those of the next
        raise
    finally:
        node.connection_pool.release(connection)


def raise_refused(answers: Sequence[Any]) -> None:
    """Raise the first refusal among the answers."""
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
