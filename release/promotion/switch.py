"""The switch: publishes a release's values and moves the pointer; the journal hears of it before and after.

The pointer is the truth of what is served now, the journal of what was meant: when they disagree because Redis was
flushed or restored from an old dump, the journal wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from contracts.errors import PublishIncomplete, SlateworkError
from contracts.home import Home
from feature_store.online.bare_client import QuickClient
from feature_store.online.connection import Client
from feature_store.online.pointer import (
    Pointer,
    PointerClient,
    epoch_of,
    is_same_generation,
    move_pointer,
    read_pointer,
)
from feature_store.server.embedded_redis import online_store
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationGone, GenerationStore
from release.bundle.manifest import VALUES_FOLDER, load_manifest
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView

if TYPE_CHECKING:
    from contracts.settings.publish import PublishSettings

MOVES = (Action.PROMOTE, Action.ROLLBACK, Action.REFRESH, Action.REBUILD)


class SwitchSettings(Protocol):
    """The parameters that a switch reads: all settings have them, and those of a rollback."""

    @property
    def app(self) -> str: ...

    @property
    def publish(self) -> PublishSettings: ...


class SwitchStore(PointerClient, Protocol):
    """The online store as a switch needs it: the two calls of the pointer, and a client for all others."""

    def whole(self) -> Client: ...


@dataclass(frozen=True)
class Switch:
    """Moves what one application serves."""

    settings: SwitchSettings
    store: SwitchStore
    journal: Journal
    bundles: BundleStore
    generations: GenerationStore

    @property
    def app(self) -> str:
        return self.settings.app

    @property
    def client(self) -> Client:
        """For everything but the pointer; raises StoreUnavailable when nobody answers."""
        return self.store.whole()

    @property
    def batch_size(self) -> int:
        """Entities sent to the store in one pipeline."""
        return self.settings.publish.batch_size

    def pointer(self) -> Pointer | None:
        """What is served now; raises StoreUnavailable when nobody can tell."""
        return read_pointer(self.store, self.app)

    def move(self, note: Note, *, urgent: bool = False, expected_epoch: int | None = None) -> Pointer:
        """Serve the release and generation of this note.

        Published (and checked) first; urgent: only where the store says that they are not there.
        expected_epoch: of the pointer that the move was decided on; without it, of the pointer as it is now.
        The journal gets the note as intent, and again as done or failed. Raises PointerMoved when somebody else
        switched meanwhile, and whatever publishing raises; then what was served stays served.
        """
        epoch = epoch_of(self.pointer()) if expected_epoch is None else expected_epoch
        intent = self.journal.append(replace(note, phase=Phase.INTENT, epoch=epoch))
        try:
            if not urgent:
                self._publish(note)
            moved = self._move_published(note, epoch)
        except SlateworkError as error:
            self.journal.append(note.ended(Phase.FAILED, intent, epoch=epoch, reason=error.problem))
            raise
        self.journal.append(note.ended(Phase.DONE, intent, epoch=moved.epoch))
        return moved

    def close_confirmed_intents(self) -> None:
        """End as done the open intents that the pointer confirms: whoever moved it was killed before saying so."""
        pointer = self.pointer()
        for intent in _confirmed(pointer, self.journal.view()):
            self.journal.append(intent.note.ended(Phase.DONE, intent, epoch=(intent.epoch or 0) + 1))

    def close_open_intents(self) -> None:
        """End every open intent; call it only while nobody else can be at work on one, or a rollback at most."""
        self.close_confirmed_intents()
        for intent in self.journal.view().open_intents(*MOVES):
            reason = "Interrupted before the pointer moved."
            self.journal.append(intent.note.ended(Phase.FAILED, intent, reason=reason))

    def rebuild(self) -> Pointer | None:
        """Point at what the journal says is served, publishing it again if need be; None when that stands already.

        A pointer that somebody moved a moment ago (a rollback waits for no lock) and is about to say so is left alone.
        """
        pointer = self.pointer()
        view = self.journal.view()  # read after the pointer: whoever moved it had noted the intent by then
        meant = view.production
        if meant is None or (pointer and is_same_generation(pointer, meant)) or _confirmed(pointer, view):
            return None
        meant = replace(meant, generation_id=self.kept_generation(meant))
        if pointer and is_same_generation(pointer, meant):
            return None
        found = f"it named {pointer.release_id}" if pointer else "it was gone"
        reason = f"The pointer was not where the journal says: {found}."
        note = Note(Action.REBUILD, Phase.INTENT, meant.release_id, meant.generation_id, meant.version, reason=reason)
        return self.move(note, expected_epoch=epoch_of(pointer))

    def kept_generation(self, entry: Entry) -> str:
        """The generation that the entry put in production; the release's own where its values are kept no more."""
        release_id, generation_id = str(entry.release_id), str(entry.generation_id)
        try:
            self.generations.path(release_id, generation_id)
        except GenerationGone:
            return load_manifest(self.bundles.path(release_id)).generation_id
        return generation_id

    def publish(self, release_id: str, generation_id: str) -> None:
        """Write what the store lacks of a generation of a release; nothing that is served changes."""
        from release.bundle.publication import publish_bundle  # noqa: PLC0415 - polars, which a rollback need not wait for

        bundle, values = self.bundles.path(release_id), self.generations.path(release_id, generation_id)
        own = values == bundle / VALUES_FOLDER
        publish_bundle(self.client, self.app, bundle, self.batch_size, None if own else values)

    def _move_published(self, note: Note, epoch: int) -> Pointer:
        release_id, generation_id = str(note.release_id), str(note.generation_id)
        try:
            return move_pointer(self.store, self.app, release_id, generation_id, epoch)
        except PublishIncomplete:
            self._publish(note)
            return move_pointer(self.store, self.app, release_id, generation_id, epoch)

    def _publish(self, note: Note) -> None:
        self.publish(str(note.release_id), str(note.generation_id))


def _confirmed(pointer: Pointer | None, view: JournalView) -> list[Entry]:
    """The open intents that were carried out, as the pointer shows."""
    return [
        intent
        for intent in view.open_intents(*MOVES)
        if pointer and pointer.epoch == (intent.epoch or 0) + 1 and is_same_generation(pointer, intent)
    ]


@contextmanager
def open_switch(home: Home, settings: SwitchSettings, journal: Journal) -> Iterator[Switch]:
    """A switch on the store at REDIS_URL, or on the embedded one, which is started if nobody runs it."""
    with online_store(home) as url, QuickClient(url) as store:
        yield Switch(settings, store, journal, BundleStore(home), GenerationStore(home))
