"""The names of the online store's keys. What their values look like: `packing`, `sessions`, `pointer`, `receipt`.

    slate:{<app>}:pointer                        which release and generation are served (JSON)
    slate:{<app>}:staging                        which ones stand in Staging (JSON)
    slate:{<app>}:canary                         which ones a share of people gets instead (JSON)
    slate:{<app>}:requests                       stream: the latest questions asked, to be asked again (JSON)
    slate:{<app>}:s:<session_id>                 list: what was done in a session, oldest first
    slate:{<app>}:<generation_id>:u:<user_id>    one person's packed features
    slate:{<app>}:<generation_id>:h:<user_id>    one person's packed history
    slate:{<app>}:<generation_id>:i:<item_id>    one item's packed features
    slate:{<app>}:<generation_id>:receipt        written last: all of the above is there (JSON)

The braces are part of the key. On Redis Cluster they are the hash tag: all keys of one application share a slot, so
that the pointer's script may look at a receipt and one MGET may fetch a slate's rows. Applications spread over the
nodes; one application does not.

A generation's keys are written once and never change: the generation id is the hash of what they hold.
"""

from __future__ import annotations


def pointer_key(app: str) -> str:
    """Where the pointer of record is."""
    return f"slate:{{{app}}}:pointer"


def staging_key(app: str) -> str:
    """Where the release in Staging is named."""
    return f"slate:{{{app}}}:staging"


def canary_key(app: str) -> str:
    """Where the canary is: a candidate release and the share of people who get it."""
    return f"slate:{{{app}}}:canary"


def requests_key(app: str) -> str:
    """Where the latest questions are (see `serving.request_log`)."""
    return f"slate:{{{app}}}:requests"


def session_key(app: str, session_id: str) -> str:
    """Where one session's events are; sessions belong to no generation."""
    return f"slate:{{{app}}}:s:{session_id}"


def user_key(app: str, generation_id: str, user_id: str) -> str:
    """Where one person's feature row is."""
    return f"slate:{{{app}}}:{generation_id}:u:{user_id}"


def history_key(app: str, generation_id: str, user_id: str) -> str:
    """Where one person's history is."""
    return f"slate:{{{app}}}:{generation_id}:h:{user_id}"


def item_key(app: str, generation_id: str, item_id: str) -> str:
    """Where one item's feature row is."""
    return f"slate:{{{app}}}:{generation_id}:i:{item_id}"


def receipt_key(app: str, generation_id: str) -> str:
    """Where a generation says that it is complete."""
    return f"slate:{{{app}}}:{generation_id}:receipt"
