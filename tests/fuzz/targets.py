"""What outsiders hand to the program, mangled by Hypothesis: it is understood, or refused in one sentence.

A target takes a case and a scratch folder. Anything but success or an :class:`AisfGeoError` is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from aisf_geo.domain.grid import Window
from aisf_geo.errors import AisfGeoError
from aisf_geo.ingest.area_of_interest import read_polygons
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.read import read_window
from aisf_geo.recipe import read_recipe
from aisf_geo.store.ledger import open_ledger

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """One kind of input: how cases are made, and what the program does with one."""

    cases: SearchStrategy[Any]
    feed: Callable[[Any, Path], None]


def _anything() -> SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=8,
    )


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in inside for place in _places(inner, (*at, key)))]


def _with(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(value[at[0]], at[1:], new)
    return copy


def _mangled_json(seed: Any) -> SearchStrategy[Any]:
    """The seed with one to three values replaced by anything, or by another of its own values."""
    places = _places(seed)
    edit = st.tuples(st.sampled_from(places[1:]), _anything())

    def apply(edits: list[tuple[tuple[Any, ...], Any]]) -> Any:
        value = seed
        for at, new in edits:
            # An earlier edit may have removed the way to this one.
            with suppress(KeyError, IndexError, TypeError):
                value = _with(value, at, new)
        return value

    return st.lists(edit, min_size=1, max_size=3).map(apply)


def _mangled_bytes(seed: bytes) -> SearchStrategy[bytes]:
    """The seed with some bytes changed, most of them near the start, where formats keep their structure, or cut off."""
    place = st.integers(0, min(len(seed), 600) - 1) | st.integers(0, len(seed) - 1)
    edits = st.lists(st.tuples(place, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)

    def apply(case: tuple[list[tuple[int, bytes]], int | None]) -> bytes:
        changed = bytearray(seed)
        for at, new in case[0]:
            changed[at : at + len(new)] = new
        return bytes(changed if case[1] is None else changed[: case[1]])

    return st.tuples(edits, st.none() | st.integers(0, len(seed))).map(apply)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def feed_recipe(case: Any, scratch: Path) -> None:
    """A recipe: YAML text, or values written as YAML."""
    path = scratch / "r.yaml"
    if isinstance(case, str):
        path.write_text(case, encoding="utf-8", errors="surrogatepass")
    else:
        path.write_text(_text(case), encoding="utf-8")
    with suppress(AisfGeoError):
        read_recipe(path)


def feed_item(case: Any, scratch: Path) -> None:
    """A STAC item beside its tile."""
    tile = scratch / "2017-06-06.tif"
    if not tile.exists():
        for name in ("2017-06-06.tif", "2017-06-06_scl.tif"):
            (scratch / name).write_bytes((ROOT / "sample_tiles" / "romania" / name).read_bytes())
    path = scratch / "item.json"
    path.write_text(_text(case), encoding="utf-8")
    with suppress(AisfGeoError):
        open_catalog(path).scenes()


def feed_tiff(case: bytes, scratch: Path) -> None:
    """A GeoTIFF: its header and one window."""
    path = scratch / "tile.tif"
    path.write_bytes(case)
    with suppress(AisfGeoError):
        (scene,) = open_catalog(path).scenes()
        rows, cols = scene.grid.shape
        read_window(scene, scene.band_names[:1], Window(0, 0, min(rows, 32), min(cols, 32)))


def feed_zones(case: Any, scratch: Path) -> None:
    """Zones in GeoJSON."""
    path = scratch / "zones.geojson"
    path.write_bytes(case if isinstance(case, bytes) else _text(case).encode())
    with suppress(AisfGeoError):
        read_polygons(path)


def feed_ledger(case: bytes, scratch: Path) -> None:
    """A ledger whose bytes were damaged."""
    path = scratch / "ledger.sqlite"
    path.write_bytes(case)
    for beside in scratch.glob("ledger.sqlite-*"):
        beside.unlink()
    with suppress(AisfGeoError), open_ledger(path) as ledger:
        ledger.blocks()
        ledger.fact("ms2", "settled")


def _recipe_seed() -> Any:
    return json.loads(json.dumps(yaml.safe_load((ROOT / "configs" / "romania_forest.yaml").read_text()), default=str))


def _item_seed() -> Any:
    return json.loads((ROOT / "sample_tiles" / "romania" / "2017-06-06.json").read_text())


def _zones_seed() -> Any:
    return json.loads((ROOT / "configs" / "zones" / "romania_forest.geojson").read_text())


def ledger_seed(scratch: Path) -> bytes:
    """The bytes of a small ledger."""
    from aisf_geo.store.ledger import BlockRecord

    path = scratch / "seed.sqlite"
    with open_ledger(path) as ledger:
        for i in range(9):
            ledger.record(BlockRecord("ms2", f"b{i}", "done", None, "sha256:0", 0.1, 10, 10, 0))
        ledger.set_fact("ms2", "settled", "{}")
    return path.read_bytes()


def targets(scratch: Path) -> dict[str, Target]:
    """Every kind of input; ``scratch`` holds what seeds need."""
    tile = (SEEDS / "small.tif").read_bytes()
    yaml_text = st.text(alphabet="abc:-[]{}&*!|>'\"# \n\t0123456789.~?,%@\\", max_size=60)
    return {
        "recipe": Target(_mangled_json(_recipe_seed()) | yaml_text, feed_recipe),
        "stac item": Target(_mangled_json(_item_seed()), feed_item),
        "geotiff": Target(_mangled_bytes(tile), feed_tiff),
        "zones": Target(_mangled_json(_zones_seed()) | _mangled_bytes(_text(_zones_seed()).encode()), feed_zones),
        "ledger": Target(_mangled_bytes(ledger_seed(scratch)), feed_ledger),
    }
