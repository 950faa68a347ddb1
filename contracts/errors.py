"""Every error Slatework raises on purpose.

    SlateworkError
    ├── SettingsError            params.yaml or an environment variable is wrong
    ├── WorkspaceError           the checkout, SLATE_HOME or the machine is not as needed
    │   ├── Busy                 another run holds the workspace
    │   ├── EngineMissing        Spark, or a guest's environment, is asked for and not installed
    │   ├── StepInterrupted      a step of a run was stopped, or found something away
    │   └── PortTaken            something else listens where we want to
    ├── SourceError              data could not be fetched, opened or understood
    │   ├── HashMismatch         a file is not the one that was asked for
    │   ├── SourceUnavailable    it could not be reached
    │   └── DataTooSmall         too little data to split, fit or measure
    ├── ValidationFailed         the data came in, and broke a rule
    ├── WrongInput               a question is not within its bounds
    ├── UnknownId                a person, item, category or field that is not known
    ├── ShapeMismatch            arrays that must agree do not
    ├── ArtefactError            a file of a model, index or bundle is damaged or not what it says
    │   ├── ReleaseMismatch      artefacts of different builds were put together
    │   └── NotComparable        two releases cannot be measured on the same people
    ├── StoreError               the online store refused or failed
    │   ├── StoreUnavailable     it could not be reached
    │   ├── PublishIncomplete    what is stored is not what was published
    │   └── PointerMoved         somebody else switched the release first
    └── RegistryError            the model registry refused or failed
        ├── RegistryUnavailable  it could not be reached
        └── PromotionRefused     a gate, or the state of the registry, forbids it

Foreign errors are mapped to these once, at the edge where they enter.
"""

from __future__ import annotations

import errno
import shutil

from contracts.printable import printable

_DISK_AND_PERMISSIONS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


def _as_sentence(problem: str) -> str:
    """The problem with its full stop, which the words of a library often lack; of several lines, as it is."""
    return problem if "\n" in problem or problem.rstrip().endswith((".", "!", "?", ":", "…")) else f"{problem}."


class SlateworkError(Exception):
    """An error whose message says where, what was found, what was expected, and what to do next.

    problem: where, found and expected, one sentence or a few lines.
    next_step: what to type or change next.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        problem = _as_sentence(problem)
        super().__init__(problem, next_step)
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        return printable(f"{self.problem}\n  {self.next_step}")


class SettingsError(SlateworkError):
    """params.yaml or an environment variable is missing, misspelt or out of range."""


class WorkspaceError(SlateworkError):
    """The checkout, SLATE_HOME or the machine is not as needed."""


def refused_by_system(error: OSError) -> WorkspaceError:
    """What the operating system refused (a full disk, a folder that may not be written), as an error of ours."""
    if error.errno in _DISK_AND_PERMISSIONS or isinstance(error, shutil.Error):
        next_step = "Free disk space or mend the permissions, and run the same command again to go on."
    else:
        next_step = "Mend what is named there, and run the same command again; `slate --debug` shows where it happened."
    if isinstance(error, shutil.Error):  # it has no reason of its own, and may list every file: source, target, reason
        listed = error.args[0]
        return WorkspaceError(f"{listed if isinstance(listed, str) else listed[0][-1]}.", next_step)
    return WorkspaceError(f"{error.strerror or error} ({error.filename or 'no file named'}).", next_step)


class EngineMissing(WorkspaceError):
    """Spark, the Java it needs, or a guest's environment is asked for and not installed."""


class Busy(WorkspaceError):
    """Another run holds the workspace."""


class StepInterrupted(WorkspaceError):
    """A step of a run was stopped from outside, or something it needs was away: the same again may go well."""


class PortTaken(WorkspaceError):
    """Something else listens on a port that a service needs."""


class SourceError(SlateworkError):
    """Data could not be fetched, opened or understood."""


class HashMismatch(SourceError):
    """A file is not the one that was asked for."""


class SourceUnavailable(SourceError):
    """What is read over a network could not be reached."""


class DataTooSmall(SourceError):
    """Too little data to split, fit or measure."""


class ValidationFailed(SlateworkError):
    """The data came in, and broke a rule that stops the run."""


class WrongInput(SlateworkError):
    """A question is not within the bounds that hold for everybody who asks."""


class UnknownId(SlateworkError):
    """A person, an item, a category, or a field of a filter that is not known."""


class ShapeMismatch(SlateworkError):
    """Arrays that must agree in shape do not."""


class ArtefactError(SlateworkError):
    """A file of a model, an index or a bundle is missing, damaged or not what it says."""


class ReleaseMismatch(ArtefactError):
    """Artefacts of different builds were put together."""


class NotComparable(ArtefactError):
    """Two releases cannot be measured on the same people, fairly."""


class StoreError(SlateworkError):
    """The online store refused or failed."""


class StoreUnavailable(StoreError):
    """The online store could not be reached."""


class PublishIncomplete(StoreError):
    """What the online store holds is not what was published."""


class PointerMoved(StoreError):
    """Somebody else switched the release between our reading the pointer and moving it."""


class RegistryError(SlateworkError):
    """The model registry refused or failed."""


class RegistryUnavailable(RegistryError):
    """The model registry could not be reached."""


class PromotionRefused(RegistryError):
    """A gate, or the state of the registry, forbids the promotion."""
