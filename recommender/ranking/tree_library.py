"""LightGBM without scikit-learn and pandas, which it imports where they are installed and which we never use with it.

They take seconds of each start, and 100 MiB of each worker. The copy is ours alone: whoever imports `lightgbm` in the
same process, such as a notebook that loads a model, gets one with all of it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

LIBRARY = "lightgbm"
# matplotlib, dask: for its plots and its cluster.
HIDDEN = ("sklearn", "pandas", "matplotlib", "dask")


def _library_alone() -> ModuleType:
    if LIBRARY in sys.modules:
        return sys.modules[LIBRARY]
    before = {name: sys.modules[name] for name in HIDDEN if name in sys.modules}
    sys.modules.update(dict.fromkeys(HIDDEN))  # type: ignore[arg-type] # None: an import of it raises ImportError
    try:
        return import_module(LIBRARY)
    finally:
        for name in [*HIDDEN, *(name for name in sys.modules if name.partition(".")[0] == LIBRARY)]:
            del sys.modules[name]
        sys.modules.update(before)


lgb = _library_alone()
