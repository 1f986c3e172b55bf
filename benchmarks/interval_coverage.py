"""How often do 95 % intervals of estimated areas hold the true area? Samples drawn anew from a known population.

::

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --maps 100000 --seed 7

The population and the sample sizes are those of the worked example of Olofsson et al. 2014. Printed for each class:
whether its counts are adequate, coverage and relative width of the normal interval, and of the interval this program
uses where counts are thin (Wilson limits in each stratum, joined). 94-96 % can be asked only where every contributing
cell is adequate; for the others the program warns with the number measured here.
"""

from __future__ import annotations

import argparse

from aisf_geo.indicators.area import Sample
from aisf_geo.indicators.coverage import measure_coverage

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
#: Olofsson et al. 2014, Remote Sensing of Environment 148:42-57, worked example; areas in ha.
OLOFSSON = Sample(
    CLASSES,
    CLASSES,
    (18_000, 13_500, 288_000, 580_500),
    ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{asked.maps} samples, seed {asked.seed}; coverage of 95 % intervals, width as a share of the true area")
    print(f"{'class':20} {'counts':10} {'normal':>8} {'width':>7} {'Wilson':>8} {'width':>7}")
    for c in measure_coverage(OLOFSSON, asked.maps, asked.seed):
        counts = "adequate" if c.adequate else "thin"
        print(f"{c.name:20} {counts:10} {c.normal:8.1%} {c.normal_width:7.2f} {c.rare:8.1%} {c.rare_width:7.2f}")
        if not c.adequate:
            print(f"  warning: the normal interval of {c.name} holds the truth in {c.normal:.1%} of samples, not 95 %")


if __name__ == "__main__":
    main()
