"""What `slate parity` says of the answers of a release, and the last of it, kept under SLATE_HOME for the gate."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import ArtefactError
from contracts.json_file import write_json


@dataclass(frozen=True)
class FeatureParity:
    """One feature: values compared, and those at fault.

    mismatch: another value than offline; missing: offline has one, the answer had none; extra: the other way round.
    example: the first fault in words.
    """

    name: str
    n_values: int = 0
    mismatch: int = 0
    missing: int = 0
    extra: int = 0
    example: str = ""

    @property
    def n_faults(self) -> int:
        return self.mismatch + self.missing + self.extra


@dataclass(frozen=True)
class LoggedParity:
    """How the answers of one release compare.

    n_requests: answers of which a value was compared. other_tables: which of the tables are not those that the release
    was built from.
    """

    release_id: str
    n_requests: int
    other_tables: tuple[str, ...] = ()
    features: tuple[FeatureParity, ...] = ()

    @property
    def n_values(self) -> int:
        return sum(feature.n_values for feature in self.features)

    @property
    def n_faults(self) -> int:
        return sum(feature.n_faults for feature in self.features)

    @property
    def fault_share(self) -> float:
        """Values at fault, of all that were compared; 0 where none were."""
        return self.n_faults / max(self.n_values, 1)

    def worst(self) -> list[FeatureParity]:
        """The features at fault, the one with most faults first."""
        at_fault = [feature for feature in self.features if feature.n_faults]
        return sorted(at_fault, key=lambda feature: (-feature.n_faults, feature.name))

    @property
    def first(self) -> str:
        """The first fault of the worst feature in words; empty where there is none."""
        return next((f"{feature.name}: {feature.example}." for feature in self.worst()), "")

    def to_json(self) -> dict[str, Any]:
        return {
            "release_id": self.release_id,
            "n_requests": self.n_requests,
            "other_tables": list(self.other_tables),
            "n_values": self.n_values,
            "n_faults": self.n_faults,
            "features": [asdict(feature) for feature in self.features],
        }


def save_parity(folder: Path, parity: LoggedParity) -> None:
    """Keep the last result of a release, for its gate; of two processes at once the last one's."""
    write_json(parity.to_json(), folder / f"{parity.release_id}.json", shared=True)


def load_last_parity(folder: Path, release_id: str) -> LoggedParity | None:
    """The last result that was kept of a release; None where there is none. Raises ArtefactError when it is damaged."""
    path = folder / f"{release_id}.json"
    try:
        fields = json.loads(path.read_bytes())
        return LoggedParity(
            fields["release_id"],
            int(fields["n_requests"]),
            tuple(fields["other_tables"]),
            tuple(FeatureParity(**feature) for feature in fields["features"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path} is damaged: {error!r}.", "Remove it, and run `slate parity` again.") from error
