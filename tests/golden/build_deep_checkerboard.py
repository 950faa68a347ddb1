"""What the deep generators learn of the checkerboard, kept so that tests without PyTorch can ask them.

Run `make deep && SLATE_TEST_DEEP=fitted python -m tests.golden.build_deep_checkerboard` when training has changed.
"""

from __future__ import annotations

import shutil

from tests.recommender_worlds import DEEP_LEARNT, DEEP_SETTINGS, checkerboard_generators

if __name__ == "__main__":
    for name in DEEP_SETTINGS:
        shutil.rmtree(DEEP_LEARNT / name, ignore_errors=True)
        checkerboard_generators()[name].save(DEEP_LEARNT / name)
