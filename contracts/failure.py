"""How a process that fails says why: by its exit status whether the same again may go well, and in a file the cause."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from contracts.errors import (
    Busy,
    RegistryUnavailable,
    SlateworkError,
    SourceUnavailable,
    StepInterrupted,
    StoreUnavailable,
)

FAILED: Final = 1  # the same again ends the same way
TRY_AGAIN: Final = 75  # EX_TEMPFAIL of sysexits.h: something was away, or held by somebody else
CAUSE_FILE: Final = "SLATE_CAUSE_FILE"  # names a file that takes the cause, for whoever started the process
_MAY_GO_WELL: Final = (Busy, RegistryUnavailable, SourceUnavailable, StepInterrupted, StoreUnavailable)


def exit_status(error: SlateworkError) -> int:
    """The exit status of a process that ends with this error: TRY_AGAIN where waiting may help, else FAILED."""
    return TRY_AGAIN if isinstance(error, _MAY_GO_WELL) else FAILED


def write_cause(message: str) -> None:
    """Hand the cause to whoever started this process and asked for it; the first one counts, it is the innermost."""
    named = os.environ.get(CAUSE_FILE)
    if named and Path(named).is_file() and not Path(named).read_text(encoding="utf-8"):
        Path(named).write_text(message, encoding="utf-8")
