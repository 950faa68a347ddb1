"""The two kinds of id: strings outside, dense integers inside."""

from __future__ import annotations

from typing import NewType

import numpy as np
import numpy.typing as npt

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)
SessionId = NewType("SessionId", str)
ItemIdx = NewType("ItemIdx", int)

ItemIdxArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
EpochSeconds = npt.NDArray[np.int64]
EpochMicroseconds = npt.NDArray[np.int64]
EventCodes = npt.NDArray[np.uint8]  # see contracts.events
