"""Ways to spoil a file: cut, flipped, stuffed, with numbers that are huge, negative or not numbers at all."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

INTEGERS = (0, 1, 2, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -1, -2, -(2**31))
VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**31, 10**30, 1e308, -0.5, "", "x", "../../etc/passwd", [], {}, [[]])
WORDS = (b"-1", b"0", b"99999999999999999999", b"nan", b"1e999", b"2147483648", b"", b"\xff", b"x")
SHAPES = (
    "(2**62,)",
    "(9999999999,)",
    "(-1,)",
    "(0,)",
    "()",
    "(1, 2, 3)",
    "(4611686018427387904, 4)",
    "None",
    "(" * 300,
)
DTYPES = ("|O", "<f8", "<i4", "<U9999999", "|V0", "bad", ">f4", "<M8[ns]")

Spoiler = Callable[[bytes, np.random.Generator], bytes]


def hostile(content: bytes, rng: np.random.Generator, name: str) -> bytes:
    """The content, spoilt in one to three ways that fit what kind of file it is."""
    ways: list[Spoiler] = [cut, flip, overwrite, stuff]
    if name.endswith(".json"):
        ways += [change_json] * 8
    if name.endswith(".npy"):
        ways += [change_npy_header] * 4
    if name.endswith((".txt", ".json")):
        ways += [change_word] * 4
    for _ in range(int(rng.integers(1, 4))):
        content = ways[int(rng.integers(len(ways)))](content, rng)
    return content


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(content)
    for at in rng.integers(max(len(spoilt), 1), size=int(rng.integers(1, 5))):
        if at < len(spoilt):
            spoilt[at] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    number = INTEGERS[int(rng.integers(len(INTEGERS)))]
    packed = struct.pack("<q", number)[: int(rng.choice([4, 8]))]
    # Sizes stand at the front of a binary file more often than elsewhere.
    reach = min(len(content), int(rng.choice([64, 512, 1 << 30])))
    at = int(rng.integers(reach + 1))
    return content[:at] + packed + content[at + len(packed) :]


def stuff(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.integers(1, 64))) + content[at:]


def change_word(content: bytes, rng: np.random.Generator) -> bytes:
    """Another number where one stands, or another key."""
    words = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?|[a-z_]+(?==)", content))
    if not words:
        return content
    word = words[int(rng.integers(len(words)))]
    return content[: word.start()] + WORDS[int(rng.integers(len(WORDS)))] + content[word.end() :]


def change_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value, or none, somewhere in the tree."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return content
    node, holders = tree, []
    while isinstance(node, dict | list) and node and rng.random() < 0.85:
        key = list(node)[int(rng.integers(len(node)))] if isinstance(node, dict) else int(rng.integers(len(node)))
        holders.append((node, key))
        node = node[key]
    if not holders:
        return json.dumps(VALUES[int(rng.integers(len(VALUES)))]).encode()
    holder, key = holders[-1]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = VALUES[int(rng.integers(len(VALUES)))]
    return json.dumps(tree).encode()


def change_npy_header(content: bytes, rng: np.random.Generator) -> bytes:
    """A header that promises another type or shape than the bytes after it hold."""
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    dtype = DTYPES[int(rng.integers(len(DTYPES)))] if rng.random() < 0.5 else "<f4"
    header = f"{{'descr': '{dtype}', 'fortran_order': {rng.random() < 0.5}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content[128:]
