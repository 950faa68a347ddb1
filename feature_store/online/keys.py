"""The names of the online store's keys. What their values look like: `packing`, `recent_events`, `pointer`, `receipt`.

    slate:{<app>}:pointer                      which release and generation are served (JSON)
    slate:{<app>}:staging                      which ones stand in Staging (JSON)
    slate:{<app>}:canary                       which ones a share of people gets instead (JSON)
    slate:{<app>}:events                       stream: what was shown and what people did (JSON)
    slate:{<app>}:events:written               how many were ever written into it, so that those cut off can be counted
    slate:{<app>}:e:<event_id>                 that an event of this id was written; expires (see `stream_writes`)
    slate:{<app>}:requests                     stream: the latest questions asked, to be asked again (JSON)
    slate:{<app>}:values                       stream: feature values that answers stood on (JSON)
    slate:{<app>}:s2:<session_id>              list: what was done in a session, oldest first (see `recent_events`)
    slate:{<app>}:r:<user_id>                  list: what a person did of late, oldest first (see `recent_events`)
    slate:{<app>}:publishing                   who is publishing or collecting now; expires (see `write_lease`)
    slate:{<app>}:generations                  hash: every generation anything was written for (see `generations`)
    slate:{<app>}:damaged                      hash: generations of which a damaged value was read (see `damage`)
    slate:{<app>}:v2:<generation_id>:u:<n>     hash: packed features of BUCKET_SIZE people, by user_id
    slate:{<app>}:v2:<generation_id>:h:<n>     hash: packed histories of BUCKET_SIZE people, by user_id
    slate:{<app>}:v2:<generation_id>:u         the first user_id of each bucket, in order (JSON); `:h` likewise
    slate:{<app>}:v2:<generation_id>:i         hash: packed features of all items, by item_id
    slate:{<app>}:v2:<generation_id>:receipt   written last: all of the above is there (JSON)

The braces are part of the key. On Redis Cluster they are the hash tag: all keys of one application share a slot, so
that the pointer's script may look at a receipt and one command may fetch a slate's rows. Applications spread over the
nodes; one application does not.

A bucket holds people who follow each other in the order of their ids, BUCKET_SIZE of them, the last one the rest. Small
hashes are kept as one block of bytes, which is what makes them small (docs/adr/0007-online-store-layout.md).

A generation's keys are written once and never change: the generation id is the hash of what they hold. `v2` is the
version of these keys, so that two Slateworks that lay values out under other keys never meet in one; a packed value
says itself of what version it is.
"""

from __future__ import annotations

FORMAT_VERSION = 2
BUCKET_SIZE = 64


def bucket_count(n_people: int) -> int:
    """How many buckets hold so many people."""
    return -(-n_people // BUCKET_SIZE)


def bucket_length(n_people: int, bucket: int) -> int:
    """How many of so many people are in this bucket: the last one holds the rest."""
    return min(max(n_people - bucket * BUCKET_SIZE, 0), BUCKET_SIZE)


def pointer_key(app: str) -> str:
    """Where the pointer of record is."""
    return f"slate:{{{app}}}:pointer"


def staging_key(app: str) -> str:
    """Where the release in Staging is named."""
    return f"slate:{{{app}}}:staging"


def canary_key(app: str) -> str:
    """Where the canary is: a candidate release and the share of people who get it."""
    return f"slate:{{{app}}}:canary"


def events_key(app: str) -> str:
    """Where the event log is: impressions, and what people did."""
    return f"slate:{{{app}}}:events"


def events_written_key(app: str) -> str:
    """Where it is counted how many records the event log ever took."""
    return f"{events_key(app)}:written"


def event_id_key(app: str, event_id: str) -> str:
    """Where it says that an event, which its sender named so, was written."""
    return f"slate:{{{app}}}:e:{event_id}"


def requests_key(app: str) -> str:
    """Where the latest questions are (see `serving.logs.request_log`)."""
    return f"slate:{{{app}}}:requests"


def values_key(app: str) -> str:
    """Where the feature values of the latest answers are (see `serving.logs.values_log`)."""
    return f"slate:{{{app}}}:values"


def session_key(app: str, session_id: str) -> str:
    """Where one session's events are; sessions belong to no generation.

    `s2`: a server of before, which reads `s` in the packing of before, never meets what it cannot read.
    """
    return f"slate:{{{app}}}:s2:{session_id}"


def recent_key(app: str, user_id: str) -> str:
    """Where one person's recent events are, of any session; they belong to no generation."""
    return f"slate:{{{app}}}:r:{user_id}"


def lease_key(app: str) -> str:
    """Where it says who is publishing or collecting."""
    return f"slate:{{{app}}}:publishing"


def generations_key(app: str) -> str:
    """Where every generation that anything was written for is listed."""
    return f"slate:{{{app}}}:generations"


def damaged_key(app: str) -> str:
    """Where it says of which generations a damaged value was read."""
    return f"slate:{{{app}}}:damaged"


def users_key(app: str, generation_id: str, bucket: int | None = None) -> str:
    """Where the feature rows of one bucket of people are; without a bucket, where each bucket begins."""
    return _of_generation(app, generation_id, "u", bucket)


def histories_key(app: str, generation_id: str, bucket: int | None = None) -> str:
    """Where the histories of one bucket of people are; without a bucket, where each bucket begins."""
    return _of_generation(app, generation_id, "h", bucket)


def items_key(app: str, generation_id: str) -> str:
    """Where the feature rows of all items are."""
    return _of_generation(app, generation_id, "i")


def receipt_key(app: str, generation_id: str) -> str:
    """Where a generation says that it is complete."""
    return _of_generation(app, generation_id, "receipt")


def first_format_receipt_key(app: str, generation_id: str) -> str:
    """Where a generation published in format 1 said so: a key per person, nothing of which is read any more."""
    return f"slate:{{{app}}}:{generation_id}:receipt"


def _of_generation(app: str, generation_id: str, what: str, bucket: int | None = None) -> str:
    key = f"slate:{{{app}}}:v{FORMAT_VERSION}:{generation_id}:{what}"
    return key if bucket is None else f"{key}:{bucket}"
