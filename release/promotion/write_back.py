"""Writing back: what is true goes into the registry, with an intent in the journal first.

A write that could not be finished (the registry was away, the process was killed) stays open in the journal and is
finished before anything else is read from the registry. Only what the write is about is touched, and only where it
still stands as it was: a change that somebody made meanwhile is still there to be read as a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contracts.errors import RegistryError
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.registry.state import RegistryState, RegistryUpdate, Stage

if TYPE_CHECKING:
    from release.registry.registry import Registry

DECISION_MARK = "\n\n**Decision** "  # what comes after it in a version's description is ours to replace


@dataclass(frozen=True)
class VersionComment:
    """What is written on one version: tags, the last paragraph of its description (`decision`), and texts by the names
    of the artifacts that they become on its run."""

    tags: dict[str, str]
    decision: str
    artifacts: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"tags": self.tags, "decision": self.decision, "artifacts": self.artifacts}


@dataclass(frozen=True)
class RegistryWrite:
    """One write: the difference between two states, and comments on versions."""

    before: RegistryState
    after: RegistryState
    comments: dict[int, VersionComment] = field(default_factory=dict)

    @property
    def update(self) -> RegistryUpdate:
        return RegistryUpdate.between(self.before, self.after)

    def __bool__(self) -> bool:
        return bool(self.update or self.comments)

    def to_json(self) -> dict[str, Any]:
        comments = {str(version): comment.to_json() for version, comment in self.comments.items()}
        return {"before": self.before.to_json(), "after": self.after.to_json(), "remarks": comments}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RegistryWrite:
        return cls(
            RegistryState.from_json(value["before"]),
            RegistryState.from_json(value["after"]),
            {int(version): VersionComment(**comment) for version, comment in value["remarks"].items()},
        )


def plan_write(journal: Journal, write: RegistryWrite, *, requester: str, reason: str) -> None:
    """Note what is to be written; where nothing differs, note what was seen, if it was not known yet."""
    if write:
        action, phase = Action.REGISTRY_WRITE, Phase.INTENT
    elif write.after != journal.view().registry_state:
        action, phase = Action.OBSERVE, Phase.DONE
    else:
        return
    journal.append(Note(action, phase, requester=requester, reason=reason, figures=write.to_json()))


def finish_writes(journal: Journal, registry: Registry) -> None:
    """Carry out every write that is noted, oldest first.

    Raises RegistryUnavailable when the registry is away: what is left stays noted.
    """
    for intent in journal.view().open_intents(Action.REGISTRY_WRITE):
        write = RegistryWrite.from_json(intent.figures)
        registry.write(write.before, write.after)
        _write_comments(registry, write)
        registry.write_journal_head(journal.append(intent.note.ended(Phase.DONE, intent)).head)


def _write_comments(registry: Registry, write: RegistryWrite) -> None:
    for number, comment in write.comments.items():
        version = registry.version_if_there(number)
        if version is not None:
            own_words = version.description.partition(DECISION_MARK)[0]
            registry.log_texts(version, comment.artifacts)
            registry.annotate(version, comment.tags, own_words + DECISION_MARK + comment.decision)


def check_resolution(registry: Registry, production: int | None) -> None:
    """Raise RegistryError when `models:/<app>/Production` is not the version that is served."""
    resolved = registry.resolved(Stage.PRODUCTION)
    if resolved != production:
        raise RegistryError(
            f"models:/{registry.app}/Production is version {resolved}; version {production} was written.",
            "Somebody changed it in the same moment: run `slate sync` again, which decides on that change.",
        )
