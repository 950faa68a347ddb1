"""The ranker's own copy of LightGBM: it brings nothing along, and takes nothing from others."""

from __future__ import annotations

import subprocess
import sys

import pytest

OURS = "from recommender.ranking.tree_library import lgb"
THEIRS = "import lightgbm, sklearn, pandas"


def printed(*lines: str) -> str:
    command = [sys.executable, "-c", "\n".join(["import sys", *lines])]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_it_leaves_no_trace_in_the_process() -> None:
    traces = "[name for name in ('lightgbm', 'lightgbm.basic', 'sklearn', 'pandas') if name in sys.modules]"
    assert printed(OURS, f"print({traces})") == "[]"


@pytest.mark.parametrize("lines", [(OURS, THEIRS), (THEIRS, OURS), ("import sklearn, pandas", OURS, THEIRS)])
def test_who_imports_lightgbm_in_the_same_process_gets_all_of_it(lines: tuple[str, ...]) -> None:
    whole = "issubclass(lightgbm.LGBMRanker, sklearn.base.BaseEstimator)"
    assert printed(*lines, f"print(sys.modules['pandas'] is pandas, {whole})") == "True True"


def test_early_stopping_knows_its_own_boosters() -> None:
    learnt = printed(
        OURS,
        "import numpy as np",
        "values = np.arange(400.0).reshape(200, 2)",
        "data = lgb.Dataset(values, values[:, 0] > 200, params={'verbose': -1})",
        "stop = lgb.early_stopping(2, verbose=False)",
        "options = {'objective': 'binary', 'verbose': -1}",
        "print(lgb.train(options, data, 5, valid_sets=[data], callbacks=[stop]).num_trees())",
    )
    assert learnt == "5"
