"""Writing back: what is true goes into the registry, with an intent in the journal first.

A write that could not be finished (the registry was away, the process was killed) stays open in the journal and is
finished before anything else is read from the registry. Only what the write is about is touched, and only where it
still stands as it was: a change that somebody made meanwhile is still there to be read as a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from contracts.errors import RegistryError
from release.journal.entries import Action, Note, NoteBook, Phase
from release.registry.registry import Registry
from release.registry.state import RegistryState, RegistryUpdate, Stage

DECISION_MARK = "\n\n**Decision** "  # what comes after it in a version's description is ours to replace


@dataclass(frozen=True)
class Remark:
    """What is written on one version: tags, and the last paragraph of its description."""

    tags: dict[str, str]
    decision: str

    def to_json(self) -> dict[str, Any]:
        return {"tags": self.tags, "decision": self.decision}


@dataclass(frozen=True)
class Write:
    """One write: the difference between two states, and remarks on versions."""

    before: RegistryState
    after: RegistryState
    remarks: dict[int, Remark] = field(default_factory=dict)

    @property
    def difference(self) -> RegistryUpdate:
        return RegistryUpdate.between(self.before, self.after)

    def __bool__(self) -> bool:
        return bool(self.difference or self.remarks)

    def to_json(self) -> dict[str, Any]:
        remarks = {str(version): remark.to_json() for version, remark in self.remarks.items()}
        return {"before": self.before.to_json(), "after": self.after.to_json(), "remarks": remarks}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Write:
        return cls(
            RegistryState.from_json(value["before"]),
            RegistryState.from_json(value["after"]),
            {int(version): Remark(**remark) for version, remark in value["remarks"].items()},
        )


def plan_write(journal: NoteBook, write: Write, *, requester: str, reason: str) -> None:
    """Note what is to be written; where nothing differs, note what was seen, if it was not known yet."""
    if write:
        action, phase = Action.REGISTRY_WRITE, Phase.INTENT
    elif write.after != journal.view().registry_state:
        action, phase = Action.OBSERVE, Phase.DONE
    else:
        return
    journal.append(Note(action, phase, requester=requester, reason=reason, figures=write.to_json()))


def finish_writes(journal: NoteBook, registry: Registry) -> None:
    """Carry out every write that is noted, oldest first.

    Raises RegistryUnavailable when the registry is away: what is left stays noted.
    """
    for intent in journal.view().open_intents(Action.REGISTRY_WRITE):
        write = Write.from_json(intent.figures)
        registry.write(write.before, write.after)
        _write_remarks(registry, write)
        registry.write_journal_head(journal.append(intent.note.ended(Phase.DONE, intent)).head)


def _write_remarks(registry: Registry, write: Write) -> None:
    versions = {version.number: version for version in registry.versions()}
    for number, remark in write.remarks.items():
        if number in versions:
            own_words = versions[number].description.partition(DECISION_MARK)[0]
            registry.annotate(number, remark.tags, own_words + DECISION_MARK + remark.decision)


def check_resolution(registry: Registry, production: int | None) -> None:
    """Raise RegistryError when `models:/<app>/Production` is not the version that is served."""
    found = registry.resolved(Stage.PRODUCTION)
    if found != production:
        raise RegistryError(
            f"models:/{registry.app}/Production is version {found}; version {production} was written.",
            "Somebody changed it in the same moment: run `slate sync` again, which decides on that change.",
        )
