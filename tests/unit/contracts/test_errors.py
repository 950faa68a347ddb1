"""What an error says: whole sentences, also where a library gave the words."""

from __future__ import annotations

import pytest
from redis.exceptions import TimeoutError as TooSlow

from contracts.errors import StoreError
from feature_store.online.foreign_errors import store_error_of


def test_the_words_of_a_library_end_with_a_full_stop_before_the_advice_begins() -> None:
    error = store_error_of(TooSlow("Timeout reading from socket"), "Redis at host:1")
    assert error is not None
    assert error.problem.endswith("Timeout reading from socket.")


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("Away: refused (111)", "Away: refused (111)."),
        ("It is away.", "It is away."),
        ("Is it away?", "Is it away?"),
        ("These are wrong:\n  a\n  b", "These are wrong:\n  a\n  b"),
    ],
)
def test_a_problem_is_a_sentence(problem: str, told: str) -> None:
    assert StoreError(problem, "Go on.").problem == told
