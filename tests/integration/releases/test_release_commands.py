"""`slate releases, promote, sync, rollback` and `slate journal` as somebody types them."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest

from cli.doctor import _in_production, _registered
from cli.releases import releases
from contracts.errors import PromotionRefused
from release.journal.entries import Action, Note, Phase
from release.registry.state import Stage
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio

pytestmark = [*FOREIGN_WARNINGS, pytest.mark.usefixtures("one_timed_answer")]


def test_from_promotion_to_rollback_in_words_and_in_json(slate, studio: Studio) -> None:
    assert "version 1 accepted for Production" in slate("promote", "1").stdout
    studio.set_stage(2, Stage.PRODUCTION)
    (decision,) = json.loads(slate("sync", "--json").stdout)["decisions"]
    assert (decision["version"], decision["verdict"]) == (2, "accepted")
    rows = json.loads(slate("releases", "--json").stdout)
    assert [(row["version"], row["stage"], row["served"]) for row in rows][:2] == [
        (1, "Archived", False),
        (2, "Production", True),
    ]
    assert "<- served" in slate("releases").stdout
    assert json.loads(slate("rollback", "--json", "--reason", "complaints").stdout)["version"] == 1
    entries = json.loads(slate("journal", "--json", "--limit", "0").stdout)
    assert [entry["reason"] for entry in entries if entry["action"] == "rollback"] == ["complaints"] * 2
    assert slate("journal", "--limit", "1").stdout.count("\n") == 2
    assert "is the one MLflow was told of" in slate("journal", "verify").stdout
    assert slate("sync").stdout == "nothing was asked for\n"


def test_what_a_watch_did_has_its_time(capsys: pytest.CaptureFixture[str], studio: Studio) -> None:
    studio.set_stage(1, Stage.PRODUCTION)
    releases._print_report(studio.promoter.sync(), as_json=False, quiet=True)
    releases._complain(PromotionRefused("No.", "Ask."))
    printed = capsys.readouterr()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00  "
    assert re.match(time + "version 1 accepted for Production", printed.out)
    assert re.match(time + r"slate: PromotionRefused: No\.\n  Ask", printed.err)


def test_the_doctor_says_what_is_registered_and_in_production(slate, studio: Studio) -> None:
    before = _in_production()
    assert (before.state, before.found) == ("optional", "nothing of movies")
    assert before.next_step == "After `slate register`: `slate promote VERSION`."
    slate("promote", "1")
    release_id = studio.registry.version(1).release_id
    assert _in_production().found.startswith(f"release {release_id} (version 1), since ")
    assert _registered().found == f"5 versions of movies, the last is 5: {studio.registry.version(5).release_id}"


@pytest.mark.parametrize("action", Action)
def test_every_action_of_the_journal_is_explained_where_it_is_shown(slate, action: Action) -> None:
    words = slate("journal", "--help").stdout.replace(",", " ").split()
    assert str(action) in words
    assert f"`{action}`" in (CHECKOUT / "docs/formats/journal.md").read_text()


def test_entries_cut_off_at_the_end_are_missed_by_what_mlflow_was_told(slate, studio: Studio) -> None:
    slate("promote", "1")
    last = studio.entries()[-1].id
    connection = sqlite3.connect(studio.home.journal_database)
    connection.executescript(f"DROP TRIGGER journal_refuses_DELETE; DELETE FROM journal WHERE id = {last};")
    connection.close()
    assert f"entry {last} is not the one that was kept elsewhere, or is cut off" in str(
        slate("journal", "verify").exception
    )


def test_of_the_version_that_is_served_the_generation_that_is_served_is_listed(slate, studio: Studio) -> None:
    slate("promote", "1")
    version = studio.registry.version(1)
    note = Note(Action.REFRESH, Phase.DONE, version.release_id, "fedcba9876543210", 1, epoch=2, requester="ada")
    studio.promoter.journal.append(note)
    first, second = json.loads(slate("releases", "--json").stdout)[:2]
    assert (first["served"], first["generation_id"]) == (True, "fedcba9876543210")
    assert second["generation_id"] == studio.registry.version(2).generation_id
    assert "fedcba9876543210" in slate("releases").stdout


def test_a_refusal_names_the_parameter_to_change_and_acceptance_is_judged_before_anything_is_decided(
    slate, studio: Studio
) -> None:
    slate("promote", "1")
    n_entries = len(studio.entries())
    refused = slate("promote", "3", "--accept", "coverage")
    assert "The gate `coverage` cannot be accepted." in str(refused.exception)
    assert "There is no gate `covrage`" in str(slate("promote", "3", "--accept", "covrage=why").exception)
    assert len(studio.entries()) == n_entries
    told = slate("promote", "3", "--accept", "drift=why").stdout
    assert "Its limit: `promotion.max_ndcg_loss` in params.yaml. `--accept` does not let it pass." in told
    assert "`--accept drift` changed nothing: the gate was " in told.splitlines()[0]


def test_a_refusal_is_told_once_failures_first_and_with_nothing_cut_short(slate) -> None:
    slate("promote", "1")
    result = slate("promote", "3")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("version 3 refused for Production: ")
    assert lines[1].split()[:2] == ["verdict", "gate"]
    assert [line.split()[0] for line in lines[2:]] == sorted(
        (line.split()[0] for line in lines[2:]), key=["FAILED", "not", "passed"].index
    )
    (ndcg,) = [line for line in lines if line.startswith("FAILED") and " ndcg " in line]
    assert "and must be above -0.0500. Its limit: " in ndcg
    assert "must be above" not in str(result.exception)
    assert (slate("journal", "--limit", "3").stdout + result.stdout).count("…") == 0


def test_a_refused_promotion_prints_the_decision_and_fails(slate) -> None:
    slate("promote", "1")
    result = slate("promote", "3", "--json")
    assert json.loads(result.stdout)["verdict"] == "refused"
    assert isinstance(result.exception, PromotionRefused)
    assert "slate journal" in str(result.exception)


def test_a_stage_is_named_in_any_case_and_no_other_is_taken(slate, studio: Studio) -> None:
    assert slate("promote", "1", "--stage", "Live").exit_code == 2
    assert slate("promote", "1", "--stage", "staging").exit_code == 0
    assert studio.stages()[1] == "Staging"


def test_registering_again_says_which_version_it_is(slate, studio: Studio) -> None:
    bundle = studio.home.bundles / studio.registry.version(2).release_id
    assert "same release, version 2" in slate("register", "--folder", str(bundle)).stdout


def test_an_empty_registry_and_journal_say_what_to_do(slate, home) -> None:
    assert "slate register" in slate("releases").stdout
    assert slate("journal").stdout == "the journal is empty\n"
