"""How often do 95 % intervals of estimated areas hold the true area? Samples drawn anew from a known population.

::

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --maps 100000 --seed 7

The population and the sample sizes are those of the worked example of Olofsson et al. 2014. Printed for the area of
each class, and for shares of one class in two: whether counts are adequate, coverage and relative width of 1.96
standard errors on either side (of shares by the delta method), and of the interval this program gives, which chooses
by the counts of each sample. 94-96 % can be asked of the former only where every contributing cell is adequate.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from aisf_geo.indicators.area import Sample
from aisf_geo.indicators.coverage import Intervals, measure_coverage, of_area, of_figure

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
#: Olofsson et al. 2014, Remote Sensing of Environment 148:42-57, worked example; areas in ha.
OLOFSSON = Sample(
    CLASSES,
    CLASSES,
    (18_000, 13_500, 288_000, 580_500),
    ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313)),
)


#: Shares of the first class in both.
SHARES = (("deforestation", "stable forest"), ("forest gain", "stable non-forest"), ("stable forest", "deforestation"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{asked.maps} samples, seed {asked.seed}; coverage of 95 % intervals, width as a share of the truth")
    print(f"{'':50} {'counts':10} {'normal':>8} {'width':>7} {'given':>8} {'width':>7}")

    def show(name: str, thin: bool, true: float, intervals: Intervals) -> None:
        c = measure_coverage(OLOFSSON, true, intervals, asked.maps, asked.seed)
        counts = "thin" if thin else "adequate"
        print(f"{name:50} {counts:10} {c.normal:8.1%} {c.normal_width:7.2f} {c.given:8.1%} {c.given_width:7.2f}")

    for name, area in OLOFSSON.areas().items():
        show(name, bool(OLOFSSON.thin_cells(name)), area, of_area(name))
    for part, rest in SHARES:

        def both(areas: Sequence[Mapping[str, float]], names: tuple[str, str] = (part, rest)) -> float:
            return sum(areas[0][name] for name in names)

        def share(areas: Sequence[Mapping[str, float]], name: str = part) -> float:
            return areas[0][name] / both(areas)

        show(f"{part} / ({part} + {rest})", True, share([OLOFSSON.areas()]), of_figure(share, both))


if __name__ == "__main__":
    main()
