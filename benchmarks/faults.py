"""Faults in random order over one long run of runs: what happened, what was computed again, are the digests equal.

::

    python benchmarks/faults.py --faults 24 --seed 9

Prints each and writes a table by kind where ``--out`` says; exits with 1 if anything was lost or silently wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from measured import about

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chaos.faults import FAULTS, Outcome, inflict, prepare  # noqa: E402 - the path comes first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=24, help="how many, each kind at least once where they suffice")
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--out", type=Path, help="Markdown file for the table")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)  # noqa: S311 - must be repeatable, not secret
    order = [name for _ in range(-(-asked.faults // len(FAULTS))) for name in FAULTS][: asked.faults]
    chance.shuffle(order)
    machine, outcomes = about(), []
    with tempfile.TemporaryDirectory() as scratch:
        bench = prepare(Path(scratch), ROOT / "sample_tiles" / "rotterdam" / "ms2.tif")
        for i, name in enumerate(order, start=1):
            outcomes.append(inflict(bench, name, Path(scratch) / "out", chance))
            print(i, outcomes[-1], flush=True)
    wrong = [o for o in outcomes if not o.good]
    again = sum(o.blocks_recomputed for o in outcomes)
    last = f"{len(outcomes)} faults, {len(wrong)} lost or wrong, {again} finished blocks computed again"
    print(last)
    if asked.out:
        where = (
            f"{machine['date'][:10]}, {machine['machine']}, load {machine['load_per_core']} a core, {machine['commit']}"
        )
        asked.out.write_text(f"{table(outcomes)}\n\n{last} (seed {asked.seed}; {where}).\n", encoding="utf-8")
    sys.exit(1 if wrong else 0)


def table(outcomes: list[Outcome]) -> str:
    """One line for each kind of fault."""
    lines = [
        "| fault | times | what happened, the last time | blocks kept | finished blocks computed again "
        "| digests equal, ledger truthful |",
        "|---|---|---|---|---|---|",
    ]
    for kind in FAULTS:
        mine = [o for o in outcomes if o.fault == kind]
        if mine:
            happened = mine[-1].happened.replace("|", "/")
            kept = ", ".join(str(o.blocks_kept) for o in mine)
            again = sum(o.blocks_recomputed for o in mine)
            good = f"{sum(o.good for o in mine)} of {len(mine)}"
            lines.append(f"| {kind} | {len(mine)} | {happened} | {kept} | {again} | {good} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
