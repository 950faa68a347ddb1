"""Kill and resume, over and over, while readers ask: no mixed answer, nothing lost.

    python -m tests.crash [--rounds 1000] [--seed 7]

Each round does one deed (publish, switch, refresh, rollback, collect) in a process of its own and kills it: at a random
exchange with Redis, before or after it, at a random journal entry, or at a random moment. Then every value that is
served, or that a rollback would go to, is compared with what it was; then the deed is done again, to its end, and it is
all compared again. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys

from bench.report import print_figures, print_table
from tests.crash.deeds import DEEDS
from tests.crash.rounds import run


def main() -> None:
    """Run the rounds, print the table, and exit 1 when anything was lost, mixed or failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    outcome = run(arguments.rounds, arguments.seed)
    rows = [(deed, outcome.killed[deed], outcome.survived[deed]) for deed in DEEDS]
    print_table(["operation", "killed", "ended before the kill"], rows)
    for loss in outcome.losses[:10]:
        print(f"LOST  {loss}")
    for reader in outcome.readers:
        for shown in reader["shown"]:
            print(f"WRONG {json.dumps(shown)}")
    print_figures("crash", outcome.figures, data="two small worlds, three generations each", seed=arguments.seed)
    sys.exit(any(outcome.figures[name] for name in ("mixed", "lost", "failed_requests")))


if __name__ == "__main__":
    main()
