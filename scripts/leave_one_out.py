#!/usr/bin/env python3
"""Buildings of each town by a short training that never saw it: how far one town's figure speaks for another's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aisf_geo.train.loop import train
from aisf_geo.train.publish import card_of
from aisf_geo.train.recipe import TrainRecipe, read_train_recipe
from aisf_geo.train.segmentation import SegmentationTask, read_splits

TOWNS = ("banepa", "catanduanes", "kampala", "zanzibar")
STEPS, RATE, SEED = 150, 0.003, 20


def without(recipe: TrainRecipe, town: str) -> TrainRecipe:
    """The recipe for buildings alone, judged on a town that is kept from training, with all its parts."""
    (source,) = (s for s in recipe.sources if "building" in s.heads)
    places = (town, f"{town}-*")
    kept = source.model_copy(update={"test": (), "validation": places})
    heads = tuple(head for head in recipe.heads if head.name == "building")
    schedule = recipe.schedule.model_copy(update={"steps": STEPS, "rate": RATE, "seed": SEED, "validations": 1})
    # The shipped weights, which the recipe continues, have seen the other towns.
    changed = {"start": "imagenet", "sources": (kept,), "heads": heads, "schedule": schedule}
    return recipe.model_copy(update=changed)


def main() -> None:
    """Print one JSON row for each town."""
    if len(sys.argv) != 3:
        sys.exit("usage: leave_one_out.py DATA WORK")
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    recipe = read_train_recipe(Path(__file__).parents[1] / "configs" / "train" / "vhr_city.yaml")
    for town in TOWNS:
        wanted = without(recipe, town)
        task = SegmentationTask(wanted, card_of(wanted), read_splits(wanted, data))
        trained = train(
            task,
            wanted.schedule,
            work / town,
            fingerprint=wanted.fingerprint,
            resume=True,
            report=lambda line: print(line, file=sys.stderr),
        )
        figures = {name: round(value, 3) for name, value in trained.figures.items()}
        print(json.dumps({"town": town, "steps": STEPS, **figures}), flush=True)


if __name__ == "__main__":
    main()
