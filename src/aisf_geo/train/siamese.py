r"""Training of the siamese network on made pairs: ``python -m aisf_geo.train.siamese``.

::

    python -m aisf_geo.train.siamese pairs --data DATA --out PAIRS --count 3000
    python -m aisf_geo.train.siamese pairs --data DATA --out TUNE --count 100 --places tune
    python -m aisf_geo.train.siamese pairs --data DATA --out TEST --count 200 --places test
    python -m aisf_geo.train.siamese fit --pairs PAIRS --tune TUNE --start models/vhr-city --out models/building-change
    python -m aisf_geo.train.siamese judge --pairs TEST --model models/building-change

Pairs are made first, because drawing one costs as much as learning from it; while learning, halves of two pairs are
also put together as two places, and every picture is turned, mirrored and relit anew.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

from aisf_geo.change.siamese import ARCH, ENCODER, MARGIN_PX, PATCH_PX, Answer, SiameseNetwork, chances
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.evaluate.card_page import card_page
from aisf_geo.evaluate.change import evaluate_change
from aisf_geo.segment.card import BandScaling, Head, ModelCard, NetworkSpec, TrainingData, load_card, write_card
from aisf_geo.segment.network import load_network, save_weights
from aisf_geo.train.depthwise import make_depthwise_fast
from aisf_geo.train.encoder import start_from_imagenet
from aisf_geo.train.pairs import NOT_KNOWN, Places, make_pair, read_chips

SIZE_PX = 256
#: ImageNet's mean and deviation, which the encoder expects, in 0..255.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Channels of a stored pair: both pictures, both building masks, the change.
CHANNELS = 9
BATCH, DECAY = 6, 0.995
#: Share of a batch in which the second date is taken from another pair.
MIXED = 0.25
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@click.group()
def main() -> None:
    """Make pairs, and fit the network on them."""


@main.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Labelled data.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the pairs.")
@click.option("--count", type=click.IntRange(1), required=True, help="Pairs to make.")
@click.option("--seed", default=0, show_default=True, help="Equal seeds make equal pairs.")
@click.option(
    "--places", type=click.Choice(get_args(Places)), default="train", show_default=True, help="Which places to use."
)
def pairs(data: Path, out: Path, count: int, seed: int, places: Places) -> None:
    """Make pairs and store them as uint8 arrays ``(n, y, x, 9)``."""
    chips = read_chips(data, places)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"pairs_{seed}.npy"
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIZE_PX, SIZE_PX, CHANNELS))
    for i in range(count):
        pair = make_pair(np.random.default_rng([seed, i]), chips, SIZE_PX)
        masks = np.stack([*pair.buildings, pair.change], axis=-1)
        stored[i] = np.concatenate([pair.before, pair.after, masks], axis=-1)
    click.echo(path)


@main.command()
@click.option("--pairs", "made", type=click.Path(path_type=Path, exists=True), required=True, help="Made pairs.")
@click.option("--tune", type=click.Path(path_type=Path, exists=True), required=True, help="To choose the threshold on.")
@click.option("--start", type=click.Path(path_type=Path, exists=True), help="Model whose encoder to start from.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Model folder.")
@click.option("--minutes", default=20.0, show_default=True, help="When to stop.")
@click.option("--seed", default=0, show_default=True)
def fit(made: Path, tune: Path, start: Path | None, out: Path, minutes: float, seed: int) -> None:
    """Fit the network, choose its threshold on places it has not seen, and write the model."""
    torch.manual_seed(seed)
    network = SiameseNetwork()
    if start is None:
        start_from_imagenet(network)
    else:
        network.encoder.load_state_dict(load_network(load_card(start)).get_submodule("encoder").state_dict())
    rng = np.random.default_rng(seed)
    kept, steps = fitted(network, batches(rng, _stored(made)), minutes)
    threshold, figures = tuned(kept, _stored(tune))
    card = write_card(card_of(kept, out, threshold), out)
    record = {"weights": card.weights.sha256, "seed": seed, "minutes": minutes, "steps": steps, "threshold": threshold}
    text = json.dumps(record | {"start": str(start and start.name), "tuning": figures}, indent=2)
    (out / "training.json").write_text(text + "\n", encoding="utf-8")
    click.echo(text)


@main.command()
@click.option("--pairs", "made", type=click.Path(path_type=Path, exists=True), required=True, help="Pairs to judge on.")
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True, help="Model folder.")
def judge(made: Path, model: Path) -> None:
    """Write the figures on unseen made pairs into the card, as `aisf-geo evaluate` finds them on A/, B/ and label/."""
    card = load_card(model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "made_pairs"
        for name in ("A", "B", "label"):
            (folder / name).mkdir(parents=True)
        for number, pair in enumerate(pair for part in _stored(made) for pair in part):
            change = pair[..., 8]
            mask = np.where(change == NOT_KNOWN, change, (change > 0).astype(np.uint8))
            for name, pixels in (("A", pair[..., :3]), ("B", pair[..., 3:6]), ("label", mask)):
                Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name / f"{number:04d}.png")
        document = evaluate_change(card, folder)
    card = write_card(card.model_copy(update={"figures": (document,)}), model)
    (model / "CARD.md").write_text(card_page(card), encoding="utf-8")
    click.echo(json.dumps(document["classes"], indent=2))


def _stored(folder: Path) -> list[NDArray[np.uint8]]:
    return [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]


def batches(rng: np.random.Generator, stored: list[NDArray[np.uint8]]) -> Iterator[Batch]:
    """Endless batches: pictures ``(n, 3, y, x)`` of both dates, building masks ``(n, 2, y, x)``, change."""
    places = [(i, j) for i, part in enumerate(stored) for j in range(len(part))]
    while True:
        order = rng.permutation(len(places))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            chosen = [np.asarray(stored[places[k][0]][places[k][1]]) for k in order[first : first + BATCH]]
            drawn = [_turned(rng, pair) for pair in chosen]
            for k in range(int(MIXED * BATCH)):
                drawn[k] = _mixed(drawn[k], drawn[-1 - k])
            yield _as_tensors(rng, np.stack(drawn))


def _turned(rng: np.random.Generator, pair: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pair = np.rot90(pair, int(rng.integers(4)))
    pair = pair[:, ::-1] if rng.random() < 0.5 else pair
    if rng.random() < 0.5:
        # The other date first: what was gained is lost.
        pair = pair[..., [3, 4, 5, 0, 1, 2, 7, 6, 8]]
        pair[..., 8] = np.array([0, 2, 1, *range(3, 256)], np.uint8)[pair[..., 8]]
    return pair


def _mixed(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first date of one pair and the second of another."""
    before, after = one[..., 6], two[..., 7]
    change = np.where((after == 1) & (before == 0), 1, np.where((before == 1) & (after == 0), 2, 0)).astype(np.uint8)
    change[(before == NOT_KNOWN) | (after == NOT_KNOWN)] = NOT_KNOWN
    parts = one[..., :3], two[..., 3:6], np.stack([before, after, change], axis=-1)
    return np.concatenate(parts, axis=-1)


def _as_tensors(rng: np.random.Generator, drawn: NDArray[np.uint8]) -> Batch:
    pixels = torch.from_numpy(np.ascontiguousarray(drawn.transpose(0, 3, 1, 2)))
    dates = []
    for first in (0, 3):
        light = torch.from_numpy(rng.uniform(0.85, 1.15, (len(drawn), 3, 1, 1)).astype(np.float32))
        shade = torch.from_numpy(rng.uniform(-15, 15, (len(drawn), 1, 1, 1)).astype(np.float32))
        dates.append(normalised((pixels[:, first : first + 3].float() * light + shade).clamp(0, 255)))
    return dates[0], dates[1], pixels[:, 6:8], pixels[:, 8]


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """8-bit pictures ``(n, 3, y, x)`` as the encoder expects them."""
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return ((pictures.float() - mean) / std).to(memory_format=torch.channels_last)


def fitted(network: SiameseNetwork, made: Iterator[Batch], minutes: float) -> tuple[SiameseNetwork, int]:
    """A running mean of the weights over a training of so many minutes, and its steps."""
    network = network.to(memory_format=torch.channels_last).train()
    _freeze_start(network)
    make_depthwise_fast(network)
    kept = SiameseNetwork()
    kept.load_state_dict(network.state_dict())
    slow = [p for p in network.encoder.parameters() if p.requires_grad]
    fast = [p for name, p in network.named_parameters() if p.requires_grad and not name.startswith("encoder.")]
    groups = [{"params": slow, "peak": 3e-4}, {"params": fast, "peak": 1.5e-3}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    begun, step = time.monotonic(), 0
    while (share := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * min(1, (step + 1) / 40) * (0.5 + 0.5 * np.cos(np.pi * share))
        before, after, masks, change = next(made)
        with torch.autocast("cpu", torch.bfloat16):
            answer = network(before, after)
        loss = loss_of(answer, masks, change)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's own
        nn.utils.clip_grad_norm_(fast + slow, 2.0)
        optimiser.step()
        step += 1
        _keep(kept, network, min(DECAY, step / (step + 20)))
        if step % 25 == 0:
            click.echo(f"step {step}: loss {loss.item():.3f}, {100 * share:.0f} % of the time", err=True)
    return kept.eval(), step


def _freeze_start(network: SiameseNetwork) -> None:
    """The stem and the first two stages stay as they are: edges and colours are learnt, and they cost the most."""
    model = network.encoder.model
    for part in (model.conv_stem, model.bn1, model.blocks[0], model.blocks[1]):
        part.eval().requires_grad_(False)


@torch.no_grad()
def _keep(kept: nn.Module, network: nn.Module, decay: float) -> None:
    for one, two in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if one.is_floating_point():
            one.mul_(decay).add_(two, alpha=1 - decay)
        else:
            one.copy_(two)


def loss_of(answer: Answer, masks: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and Dice of gained and lost, and half of it of each date's buildings; unknown pixels left out."""
    known = (change != NOT_KNOWN).float()
    total = torch.zeros(())
    for logits, code in ((answer.gained, 1), (answer.lost, 2)):
        total = total + _binary(logits.float(), (change == code).float(), known)
    for logits, mask in ((answer.before, masks[:, 0]), (answer.after, masks[:, 1])):
        total = total + 0.5 * _binary(logits.float(), (mask == 1).float(), (mask != NOT_KNOWN).float())
    return total


def _binary(logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    count = known.sum().clamp_min(1)
    entropy = (functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * known).sum() / count
    chance = logits.sigmoid() * known
    overlap = (chance * target).sum()
    return entropy + 1 - (2 * overlap + 100) / (chance.sum() + (target * known).sum() + 100)


#: Share of the ground that changes in a real pair. Made pairs change more of theirs, or a network would learn little.
CHANGED_SHARE = 0.05
THRESHOLDS = np.round(np.arange(0.2, 0.96, 0.05), 2)


def tuned(network: SiameseNetwork, stored: list[NDArray[np.uint8]]) -> tuple[float, dict[str, Any]]:
    """The threshold with the best F1 of changed pixels on made pairs, and what it reaches there.

    Pairs without a change weigh as much as makes :data:`CHANGED_SHARE` of the ground change: a threshold chosen where
    a fifth changes raises too many alarms where little does.
    """
    counts = {kind: np.zeros((len(THRESHOLDS), 3)) for kind in ("gained", "lost", "still")}
    ground = {True: 0, False: 0}
    for pair in (pair for part in stored for pair in part):
        pixels = torch.from_numpy(np.array(pair).transpose(2, 0, 1))[None]
        found = chances(network, normalised(pixels[:, :3]), normalised(pixels[:, 3:6]))
        change, known = pair[..., 8], pair[..., 8] != NOT_KNOWN
        still = not ((change == 1) | (change == 2)).any()
        ground[still] += int(known.sum())
        both = found[:2, 0].numpy()[:, known]
        if still:
            counts["still"][:, 1] += (both.max(axis=0) > THRESHOLDS[:, None]).sum(axis=1)
            continue
        for kind, chance, code in zip(("gained", "lost"), both, (1, 2), strict=True):
            said, true = chance > THRESHOLDS[:, None], change[known] == code
            counts[kind] += np.stack([(said & true).sum(1), (said & ~true).sum(1), (~said & true).sum(1)], axis=1)
    changed = counts["gained"] + counts["lost"]
    real = changed[0, 0] + changed[0, 2]
    weight = max((real / CHANGED_SHARE - ground[False]) / max(ground[True], 1), 0.0)
    weighed = _f1(changed + weight * counts["still"])
    best = int(np.argmax(weighed))
    figures = {
        "f1": float(weighed[best]),
        "f1_gained": float(_f1(counts["gained"])[best]),
        "f1_lost": float(_f1(counts["lost"])[best]),
        "false_alarm_rate": float(counts["still"][best, 1] / max(ground[True], 1)),
    }
    return float(THRESHOLDS[best]), {k: round(v, 4) for k, v in figures.items()} | {"pairs": sum(map(len, stored))}


def _f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of rows of hits, false alarms and misses."""
    hits, false, missed = counts.T
    return np.asarray(2 * hits / np.maximum(2 * hits + false + missed, 1))


def card_of(network: SiameseNetwork, folder: Path, threshold: float) -> ModelCard:
    """Weights and card of a fitted network."""
    change = Legend(
        "building change",
        (
            LegendClass(0, "no change of buildings", (232, 230, 222)),
            LegendClass(1, "building gained", (196, 78, 66), "built-up"),
            LegendClass(2, "building lost", (70, 110, 190)),
        ),
    )
    osm = "OpenAerialMap contributors, CC BY 4.0; labels (c) OpenStreetMap contributors, ODbL; via HOTOSM fAIr"
    return ModelCard(
        name=folder.name,
        description=(
            "Buildings gained and lost between two aerial or satellite pictures of about half a metre. Trained on "
            "pairs made from single dates: judged on such pairs of unseen places, and on no real pair of dates."
        ),
        created=datetime.now(UTC).replace(microsecond=0),
        licence="ODbL-1.0",
        network=NetworkSpec(arch=ARCH, encoder=ENCODER, options={"threshold": threshold}),
        bands=tuple(
            BandScaling(name=name, mean=m, std=s)
            for name, m, s in zip(("red", "green", "blue"), MEAN, STD, strict=True)
        ),
        scale="8-bit",
        gsd_m=(0.3, 1.0),
        patch_px=PATCH_PX,
        margin_px=MARGIN_PX,
        heads=(Head(name="change", legend=change),),
        weights=save_weights(network, folder),
        training_data=(
            TrainingData(name="buildings", licence="CC-BY-4.0 AND ODbL-1.0", attribution=osm),
            TrainingData(name="urban_landcover", licence="CC0-1.0", attribution="Humans in the Loop with MBRSC"),
            TrainingData(name="roads", licence="ODbL-1.0", attribution="MassGIS imagery (public domain), V. Mnih 2013"),
        ),
        not_for=(
            "Single dates, and pairs coarser than 1 m.",
            "Decisions about single homes: a building that appears or goes must be checked by a person.",
        ),
    )


if __name__ == "__main__":
    main()
