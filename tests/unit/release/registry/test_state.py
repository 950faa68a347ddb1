"""What is asked by changing stages and aliases, and what the registry should say afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.registry.requests import PromotionRequest, RegistryRequests, read_requests
from release.registry.state import ALIASES, RegistryState, RegistryUpdate, Stage, decided_state, versions_moved_into

NONE, STAGING, PRODUCTION, ARCHIVED = Stage
# Version 1 was replaced by 2, which is served; 3 is in Staging; 4 is new.
BEFORE = RegistryState({1: ARCHIVED, 2: PRODUCTION, 3: STAGING, 4: NONE}, {"production": 2, "staging": 3})


def changed(stages: dict[int, Stage] | None = None, **aliases: int | None) -> RegistryState:
    names = {**BEFORE.aliases, **aliases}
    return RegistryState(
        {**BEFORE.stages, **(stages or {})}, {name: version for name, version in names.items() if version}
    )


def read(now: RegistryState) -> RegistryRequests:
    return read_requests(BEFORE, now, production=2, staging=3)


def test_nothing_changed_asks_for_nothing() -> None:
    assert read(BEFORE) == RegistryRequests()


def test_a_stage_and_an_alias_ask_for_the_same_and_may_do_so_together() -> None:
    wanted = RegistryRequests((PromotionRequest(PRODUCTION, 4),))
    assert read(changed({4: PRODUCTION})) == wanted
    assert read(changed(production=4)) == wanted
    assert read(changed({4: PRODUCTION, 2: ARCHIVED}, production=4)) == wanted


def test_an_older_version_put_beside_the_newer_one_in_production_is_a_request_for_the_older() -> None:
    assert read(changed({1: PRODUCTION})) == RegistryRequests((PromotionRequest(PRODUCTION, 1),))


def test_a_stage_and_an_alias_for_different_versions_are_both_refused() -> None:
    asked = read(changed({4: PRODUCTION}, production=1))
    assert asked.requests == ()
    assert [(refusal.version, refusal.stage) for refusal in asked.refusals] == [(1, PRODUCTION), (4, PRODUCTION)]


def test_taking_what_is_served_out_of_production_is_refused_whichever_way() -> None:
    deleted = RegistryState({1: ARCHIVED, 3: STAGING, 4: NONE}, {"staging": 3})
    for now in (changed({2: ARCHIVED}), changed({2: STAGING}), changed(production=None), deleted):
        asked = read(now)
        assert asked.requests == ()
        assert [refusal.version for refusal in asked.refusals] == [2]
        assert "slate rollback" in asked.refusals[0].reason


def test_taking_it_out_while_putting_another_in_is_just_a_request() -> None:
    assert read(changed({2: ARCHIVED, 4: PRODUCTION})) == RegistryRequests((PromotionRequest(PRODUCTION, 4),))


def test_the_staged_version_leaves_staging_when_nobody_asks_for_anything_in_its_place() -> None:
    assert read(changed({3: ARCHIVED})) == RegistryRequests(left_staging=True)
    assert read(changed(staging=None)) == RegistryRequests(left_staging=True)


def test_moving_the_staged_version_on_to_production_is_a_request_and_leaves_staging_once_it_is_accepted() -> None:
    now = changed({3: PRODUCTION})
    assert read(now) == RegistryRequests((PromotionRequest(PRODUCTION, 3),), left_staging=False)
    assert decided_state(BEFORE, now, production=2, staging=3) == BEFORE
    assert decided_state(BEFORE, now, production=3, staging=3).stages == {
        1: ARCHIVED,
        2: ARCHIVED,
        3: PRODUCTION,
        4: NONE,
    }


@pytest.mark.parametrize(
    "now",
    [
        changed({3: ARCHIVED, 4: STAGING}),  # what MLflow does where "archive existing versions" is ticked
        changed(staging=4),
        changed({3: PRODUCTION, 4: PRODUCTION}),
        changed({1: STAGING, 3: ARCHIVED, 4: STAGING}),
    ],
    ids=["archived by another's request", "alias moved", "two for Production", "two for Staging"],
)
def test_the_staged_version_is_back_in_staging_when_what_was_asked_in_its_place_is_refused(now: RegistryState) -> None:
    assert not read(now).left_staging
    assert decided_state(BEFORE, now, production=2, staging=3) == BEFORE


def test_an_alias_in_capitals_is_refused_and_taken_away() -> None:
    now = changed(Production=4)
    (refusal,) = read(now).refusals
    assert (refusal.version, refusal.stage) == (4, PRODUCTION)
    assert decided_state(BEFORE, now, 2, 3) == BEFORE


def test_what_was_refused_goes_back_and_what_was_pushed_out_is_archived() -> None:
    now = changed({4: PRODUCTION, 2: ARCHIVED}, production=4)
    assert decided_state(BEFORE, now, production=2, staging=3) == BEFORE
    accepted = decided_state(BEFORE, now, production=4, staging=3)
    assert accepted.stages == {1: ARCHIVED, 2: ARCHIVED, 3: STAGING, 4: PRODUCTION}
    assert accepted.aliases == {"production": 4, "staging": 3}


def test_what_people_do_beside_requests_stays() -> None:
    assert decided_state(BEFORE, changed({4: ARCHIVED}), 2, 3).stages[4] is ARCHIVED


def test_a_version_in_both_stages_is_in_production_alone() -> None:
    state = decided_state(BEFORE, BEFORE, production=3, staging=3)
    assert (state.stages[3], state.aliases) == (PRODUCTION, {"production": 3})


def test_a_difference_says_which_alias_to_take_away() -> None:
    assert RegistryUpdate.between(changed(staging=4), changed(staging=None)) == RegistryUpdate({}, {"staging": None})
    assert not RegistryUpdate.between(BEFORE, BEFORE)


VERSIONS = st.integers(1, 5)
STATES = st.builds(
    RegistryState,
    st.dictionaries(VERSIONS, st.sampled_from(Stage)),
    st.dictionaries(st.sampled_from([*ALIASES.values(), "Production"]), VERSIONS),
)


@given(STATES, STATES, st.none() | VERSIONS, st.none() | VERSIONS)
def test_settled_states_hold_one_version_a_stage_and_ask_for_nothing(
    before: RegistryState, now: RegistryState, production: int | None, staging: int | None
) -> None:
    after = decided_state(before, now, production, staging)
    for stage, alias in ALIASES.items():
        holders = [version for version, its in after.stages.items() if its is stage]
        assert len(holders) <= 1
        assert [after.aliases[alias]] == holders if alias in after.aliases else holders == []
        assert versions_moved_into(stage, after, after) == set()
    assert set(after.aliases) <= set(ALIASES.values())
    assert decided_state(after, after, production, staging) == after


@given(STATES)
def test_a_state_survives_json(state: RegistryState) -> None:
    assert RegistryState.from_json(state.to_json()) == state


def test_what_somebody_moved_meanwhile_is_left_as_they_put_it() -> None:
    before = RegistryState({1: Stage.PRODUCTION, 2: Stage.PRODUCTION, 3: Stage.NONE, 4: Stage.NONE}, {"production": 1})
    after = RegistryState(
        {1: Stage.ARCHIVED, 2: Stage.PRODUCTION, 3: Stage.STAGING, 4: Stage.STAGING}, {"production": 2}
    )
    now = RegistryState({1: Stage.PRODUCTION, 2: Stage.PRODUCTION, 3: Stage.PRODUCTION}, {"production": 3})
    due = RegistryUpdate.between(before, after)
    assert due.where_unchanged(before, before) == due
    assert due.where_unchanged(before, now) == RegistryUpdate({1: Stage.ARCHIVED}, {})
