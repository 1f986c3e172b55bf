"""Many mangled inputs of every kind: ``python scripts/fuzz_inputs.py --cases 100000``.

Prints what was found as it is found, and for each kind how many cases were fed, the slowest case and how memory grew;
exits with 1 on a finding. A case that takes more than ten seconds of a processor is one, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzz.targets import Target, targets

SLOW_S = 10.0
#: Cases of one Hypothesis run: it remembers what it tried, and that must not look like growth of the program.
BATCH = 500


class Account:
    """What one kind of input led to."""

    def __init__(self) -> None:
        self.cases, self.slowest_s = 0, 0.0
        self.findings: dict[str, str] = {}

    def feed(self, target: Target, case: Any, scratch: Path) -> None:
        """Feed one case and note what came of it."""
        # A busy machine must not make a case look slow.
        started = time.process_time()
        try:
            target.feed(case, scratch)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            self._found(key, case)
        spent = time.process_time() - started
        self.slowest_s = max(self.slowest_s, spent)
        if spent > SLOW_S:
            self._found(f"slow: {spent:.0f} s", case)
        self.cases += 1

    def _found(self, what: str, case: Any) -> None:
        if what not in self.findings:
            self.findings[what] = repr(case)[:2_000]
            print(f"    {what}: {self.findings[what]}", flush=True)


def main() -> None:
    """Feed all kinds in turn, and print the account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="over all kinds")
    parser.add_argument("--minutes", type=float, default=600, help="end after this long, whatever was reached")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    until = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        kinds = targets(scratch)
        accounts = {kind: Account() for kind in kinds}
        rounds = max(1, asked.cases // (BATCH * len(kinds)))
        size = min(BATCH, max(1, asked.cases // len(kinds)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(rounds):
            for kind, target in kinds.items():
                if time.monotonic() < until:
                    _batch(target, accounts[kind], scratch, size, asked.seed + number)
            if number == 0:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(_so_far(accounts, before), file=sys.stderr, flush=True)
    for kind, account in accounts.items():
        print(
            f"{kind:10} {account.cases:8,} cases  {len(account.findings)} findings  slowest {account.slowest_s:.2f} s"
        )
    print(_so_far(accounts, before))
    sys.exit(1 if any(a.findings for a in accounts.values()) else 0)


def _so_far(accounts: dict[str, Account], before: int) -> str:
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return (
        f"{sum(a.cases for a in accounts.values()):,} cases, "
        f"{sum(len(a.findings) for a in accounts.values())} findings, "
        f"slowest {max(a.slowest_s for a in accounts.values()):.2f} s; "
        f"peak memory grew by {grown:.0f} MB after the first round"
    )


def _batch(target: Target, account: Account, scratch: Path, size: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=target.cases)
    def one(case: Any) -> None:
        account.feed(target, case, scratch)

    # GDAL writes its complaints to the file descriptor.
    quiet, kept = os.open(os.devnull, os.O_WRONLY), os.dup(2)
    os.dup2(quiet, 2)
    try:
        one()
    finally:
        os.dup2(kept, 2)
        os.close(quiet)
        os.close(kept)


if __name__ == "__main__":
    main()
