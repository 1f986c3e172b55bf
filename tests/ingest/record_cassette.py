"""Makes ``cassette.jsonl``: what a catalogue of two Romanian dates answers while a run reads them.

``python tests/ingest/record_cassette.py``; the loopback server's address is written as ``https://stac.example.org``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from misbehaving import serving

HERE = Path(__file__).parent
CASSETTE, RECIPE = HERE / "cassette.jsonl", HERE / "cassette.yaml"
TILES = HERE.parents[1] / "sample_tiles" / "romania"
DATES = ("2017-06-06", "2019-08-20")


def main() -> None:
    """Run the recipe against the loopback, recording."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "tiles"
        folder.mkdir()
        for path in (p for date in DATES for p in TILES.glob(f"{date}*")):
            shutil.copy(path, folder)
        told = Path(scratch) / "answers.jsonl"
        os.environ |= {
            "AISF_GEO_CASSETTE": str(told),
            "AISF_GEO_CASSETTE_RECORD": "1",
            "AISF_GEO_PRIVATE_HOSTS": "127.0.0.1",
        }
        from aisf_geo.pipeline.plan import plan_run
        from aisf_geo.pipeline.run import run
        from aisf_geo.recipe import read_recipe

        with serving(folder, page=1) as api:
            recipe = Path(scratch) / "recipe.yaml"
            recipe.write_text(RECIPE.read_text().replace("https://stac.example.org", api.url))
            run(plan_run(read_recipe(recipe)), Path(scratch) / "out", "refuse")
            CASSETTE.write_text(told.read_text().replace(api.url, "https://stac.example.org"))


if __name__ == "__main__":
    main()
