"""Of several workers on one socket, whoever holds the fewest connections takes the next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.http.workers.fair_accepting import OpenConnections


def workers(*held: int) -> OpenConnections:
    """Workers that hold so many connections each."""
    with OpenConnections.new_file(len(held)) as file:
        connections = OpenConnections(file.fileno())
    for number, n_connections in enumerate(held):
        connections.tell(number, n_connections)
    return connections


def test_who_holds_more_than_another_leaves_the_next_to_it() -> None:
    assert [workers(3, 1, 2).has_fewest(number) for number in range(3)] == [False, True, False]
    assert [workers(2, 2).has_fewest(number) for number in range(2)] == [True, True]


def test_a_worker_that_starts_or_died_is_waited_for_by_nobody() -> None:
    with OpenConnections.new_file(2) as file:
        one, other = OpenConnections(file.fileno()), OpenConnections(file.fileno())
    one.tell(0, 5)
    assert one.has_fewest(0)
    other.tell(1, 0)  # another process, on the same memory
    assert not one.has_fewest(0)
    one.tell_gone(1)
    assert one.has_fewest(0)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=5))
def test_whatever_they_hold_somebody_takes_the_next_one(held: list[int]) -> None:
    connections = workers(*held)
    assert any(connections.has_fewest(number) for number in range(len(held)))
