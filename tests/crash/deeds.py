"""What is done in a crash run, each as the product does it: by its own calls, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from contracts.errors import PointerMoved, PromotionRefused
from contracts.home import Home
from contracts.settings.settings import Settings
from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.promotion.generation_cleanup import collect_generations
from release.promotion.promotion_lock import promotion_lock
from release.promotion.rollback import roll_back
from release.promotion.switch import Switch, open_switch
from tests.crash.mortal import Death, doom
from tests.crash.stage_set import Pair

BY = "crash"
SETTLE = "settle"


def publish(settings: Settings, home: Home, pair: Pair) -> None:
    """Values into the store, beside what is served."""
    with _switch(settings, home) as switch:
        switch.publish(*pair)


def promote(settings: Settings, home: Home, pair: Pair) -> None:
    """What a sync does: settle what somebody left, rebuild, and move the pointer to a release."""
    with promotion_lock(home), _switch(settings, home) as switch:
        switch.close_open_intents()
        switch.rebuild()
        with suppress(PointerMoved):  # a rollback waits for no lock
            switch.move(Note(Action.PROMOTE, Phase.INTENT, *pair, version=1, requester=BY))


def refresh(settings: Settings, home: Home, pair: Pair) -> None:
    """Another generation of the release that is served."""
    with promotion_lock(home), _switch(settings, home) as switch:
        switch.close_open_intents()
        entry = switch.journal.view().production
        if entry is not None and entry.release_id == pair[0]:
            with suppress(PointerMoved):
                switch.move(Note(Action.REFRESH, Phase.INTENT, *pair, version=1, requester=BY))


def rollback(settings: Settings, home: Home, pair: Pair) -> None:
    """Back to the release before; nothing where there is none."""
    with suppress(PromotionRefused):
        roll_back(settings, home, Journal(home, settings.app), requester=BY)


def collect(settings: Settings, home: Home, pair: Pair) -> None:
    """Whatever generation is neither served nor kept leaves the store."""
    with promotion_lock(home), _switch(settings, home) as switch:
        switch.close_open_intents()
        collect_generations(switch.client, switch.app, switch.journal.view(), settings.publish)


def settle(settings: Settings, home: Home) -> None:
    """What the next sync begins with."""
    with promotion_lock(home), _switch(settings, home) as switch:
        switch.close_open_intents()
        switch.rebuild()


Deed = Callable[[Settings, Home, Pair], None]
DEEDS: Mapping[str, Deed] = {
    "publish": publish,
    "switch": promote,
    "refresh": refresh,
    "rollback": rollback,
    "collect": collect,
}


def act(deed: str, settings: Settings, home: Home, pair: Pair, death: Death | None) -> None:
    """Do it in this process, which dies of it where a death is given."""
    doom(death)
    if deed == SETTLE:
        settle(settings, home)
    else:
        DEEDS[deed](settings, home, pair)


def _switch(settings: Settings, home: Home) -> Switch:
    return open_switch(home, settings, Journal(home, settings.app))
