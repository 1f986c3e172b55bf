"""The cloud head of a model against the test for bright, white pixels that a run makes without it.

::

    python benchmarks/clouds.py --data DIR

DIR holds the data set ``clouds``; of its two scenes that of Landsat 7 was in no training. The figure is the IoU of
cloud.
The dates of the Romanian sample tiles carry no labels: what is shown is the share that each test calls cloud or shadow,
beside that of ESA's scene classification (SCL). On the hard dates SCL misses haze and cloud that can be seen; on the
others little should be called hidden.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measured import about, keep

from aisf_geo.evaluate.answerers import model_answerer
from aisf_geo.evaluate.archives import CLOUD, SHADOW, archive_patches
from aisf_geo.evaluate.labelled import Sample
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.quality import CloudScreen
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene
from aisf_geo.segment.card import ModelCard, find_model
from aisf_geo.segment.runtime import Runtime, choose_runtime
from aisf_geo.shipped import model_folders, shipped

HARD = ("2018-08-15", "2019-08-20", "2020-09-03")
SCREEN = CloudScreen(tells_snow=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder that holds the data set clouds.")
    parser.add_argument("--model", default="multispectral", help="Its head 'cloud' is judged.")
    asked = parser.parse_args()
    card = find_model(asked.model, model_folders())
    session = choose_runtime(card, "auto", "fp32")
    report = {
        **about(),
        "model": card.weights.sha256,
        "iou_of_cloud": [_against_labels(card, session, p) for p in archive_patches(asked.data / "clouds", "cloud")],
        "romania_share_hidden": [_without_labels(card, session, scene) for scene in _romania()],
    }
    print(json.dumps(report, indent=1))
    keep("clouds", report)


def _against_labels(card: ModelCard, session: Runtime, patch: Sample) -> dict[str, Any]:
    """IoU of cloud of the head and of the brightness test on a labelled scene."""
    answerer = model_answerer(card, session, patch.bands)
    labelled = patch.read(answerer.bands)
    truth, found = labelled.truth == CLOUD, answerer.answer(labelled.raster).heads["cloud"].labels == CLOUD
    answers = {"head": found, "brightness": SCREEN.apply(labelled.raster).obscured}
    return {"scene": patch.name} | {
        name: round(float((truth & cloud).sum() / (truth | cloud).sum()), 3) for name, cloud in answers.items()
    }


def _without_labels(card: ModelCard, session: Runtime, scene: Scene) -> dict[str, Any]:
    """Share of a date that the scene classification, the brightness test and the head call hidden."""
    bands = card.usable_bands(scene.band_names, scene.id)
    classified = read_window(scene, bands, scene.grid.full_window).obscured
    raster = read_window(replace(scene, quality=None), bands, scene.grid.full_window)
    found = model_answerer(card, session, bands).answer(raster).heads["cloud"].labels
    hidden = {"scl": classified, "brightness": SCREEN.apply(raster).obscured, "head": np.isin(found, (CLOUD, SHADOW))}
    return {"date": scene.id, "hard": scene.id in HARD} | {k: round(float(v.mean()), 3) for k, v in hidden.items()}


def _romania() -> list[Scene]:
    return open_catalog(shipped("sample_tiles") / "romania").scenes()


if __name__ == "__main__":
    main()
