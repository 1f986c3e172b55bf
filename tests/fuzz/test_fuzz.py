"""A few hundred mangled inputs on every run, and whatever was once a finding; ``scripts/fuzz_inputs.py`` runs more."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import SEEDS, Target, feed_item, feed_ledger, feed_recipe, feed_tiff, feed_zones, targets

KINDS = ("recipe", "stac item", "geotiff", "zones", "ledger")
CASES = 60
BY_SUFFIX = {
    ".yaml": feed_recipe,
    ".json": feed_item,
    ".tif": feed_tiff,
    ".geojson": feed_zones,
    ".sqlite": feed_ledger,
}


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def all_targets(scratch: Path) -> dict[str, Target]:
    return targets(scratch)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=CASES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mangled_input_is_understood_or_refused(
    all_targets: dict[str, Target], scratch: Path, kind: str, data: st.DataObject
) -> None:
    target = all_targets[kind]
    case = data.draw(target.cases)
    with warnings.catch_warnings():
        # Libraries warn of odd files; the program's own words are its errors.
        warnings.simplefilter("ignore")
        target.feed(case, scratch)


@pytest.mark.parametrize("seed", sorted(SEEDS.iterdir()), ids=lambda path: path.name)
def test_what_was_once_a_finding_stays_mended(scratch: Path, seed: Path) -> None:
    import json

    feed = BY_SUFFIX[seed.suffix]
    content = seed.read_bytes()
    case = json.loads(content) if seed.suffix == ".json" else content.decode() if seed.suffix == ".yaml" else content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feed(case, scratch)
