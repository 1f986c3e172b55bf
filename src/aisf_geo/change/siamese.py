"""One network for two dates of very high resolution: what was built, and what was taken down.

Both dates go through the same encoder and decoder; one head reads their features in one order for *gained* and in the
other for *lost*. Swapping the dates so swaps the answers exactly, by construction and not by training. A second head
marks the buildings of each date; it is there to teach the features what a building is (Zheng et al. 2021, Change is
Everywhere, ICCV; Daudt et al. 2018, Fully convolutional siamese networks for change detection, ICIP).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from aisf_geo.change.method import Detection, margin_confidence
from aisf_geo.change.pair import Epochs, ScenePair
from aisf_geo.change.transition import NOT_COMPARED
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import BandError, DataError
from aisf_geo.ingest.read import read_thumbnail
from aisf_geo.segment.card import ModelCard
from aisf_geo.segment.network import fill_network

ENCODER = "tu-tf_efficientnet_lite0"
#: Features a pixel of the decoder has, and of the head that compares.
WIDTH, HEAD_WIDTH = 96, 64


@dataclass(frozen=True)
class Answer:
    """Logits, each ``(n, y, x)`` at the size of the input."""

    gained: torch.Tensor
    lost: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


def _block(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SiameseNetwork(nn.Module):
    """Encoder, top-down decoder to a quarter of the input's size, and the two heads."""

    def __init__(self) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp  # seconds of imports that other methods do not need

        self.encoder = smp.encoders.get_encoder(ENCODER, in_channels=3, depth=5, weights=None)
        deep = self.encoder.out_channels[2:]
        self.lateral = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in deep)
        self.smooth = nn.ModuleList(_block(WIDTH, WIDTH) for _ in deep[:-1])
        self.buildings = nn.Sequential(_block(WIDTH, HEAD_WIDTH), nn.Conv2d(HEAD_WIDTH, 4, 1))
        self.compare = nn.Sequential(
            _block(3 * WIDTH, HEAD_WIDTH),
            _block(HEAD_WIDTH, HEAD_WIDTH, dilation=2),
            _block(HEAD_WIDTH, HEAD_WIDTH),
            nn.Conv2d(HEAD_WIDTH, 4, 1),
        )

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """``(n, WIDTH, y / 4, x / 4)`` of normalised images ``(n, 3, y, x)``."""
        maps = self.encoder(image)[2:]
        top: torch.Tensor = self.lateral[-1](maps[-1])
        for lateral, smooth, each in zip(self.lateral[-2::-1], self.smooth[::-1], maps[-2::-1], strict=True):
            top = smooth(lateral(each) + functional.interpolate(top, size=each.shape[-2:], mode="nearest"))
        return top

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> Answer:
        """The logits of a pair of normalised images ``(n, 3, y, x)``, sides multiples of 32."""
        one, two = self.features(torch.cat([before, after])).chunk(2)
        gained, lost = self._compared(one, two), self._compared(two, one)
        buildings = _enlarged(self.buildings(torch.cat([one, two])))
        return Answer(gained, lost, *buildings.chunk(2))

    def _compared(self, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        return _enlarged(self.compare(torch.cat([one, two, two - one], dim=1)))


def _enlarged(quarter: torch.Tensor) -> torch.Tensor:
    """Four channels at a quarter of the size to one at full size."""
    half = functional.pixel_shuffle(quarter, 2)
    return functional.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)[:, 0]


@torch.inference_mode()
def chances(network: SiameseNetwork, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Probabilities ``(4, n, y, x)``: gained, lost, and a building on either date; of the pair and its mirror image."""
    there = _sigmoids(network(before, after))
    mirrored = _sigmoids(network(before.flip(3), after.flip(3)))
    return (there + mirrored.flip(3)) / 2


def _sigmoids(answer: Answer) -> torch.Tensor:
    return torch.stack([answer.gained, answer.lost, answer.before, answer.after]).float().sigmoid()


ARCH = "siamese"
BUILDING_LEGEND = Legend(
    "buildings on two dates",
    (LegendClass(0, "no building", (232, 230, 222)), LegendClass(1, "building", (196, 78, 66), "built-up")),
)
#: The network sees squares of this side, of which it decides all but the margin.
PATCH_PX, MARGIN_PX = 512, 64
#: Side of the thumbnail whose numbers are looked at before a pair is taken.
LOOKED_AT_PX = 256
#: Smaller changes of buildings are left out of the features: a shed of 4 x 4 m.
MIN_BUILDING_M2 = 16.0


@dataclass(frozen=True)
class Probabilities:
    """Of each pixel, float32 ``(y, x)``: a building was gained, lost, and stood there on either date."""

    gained: NDArray[np.float32]
    lost: NDArray[np.float32]
    before: NDArray[np.float32]
    after: NDArray[np.float32]

    def decided(self, threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where a building was gained, and where lost: the likelier of the two beyond the threshold.

        Where both are equally likely nothing changed; so two dates that look exactly alike show no change.
        """
        return (
            (self.gained > threshold) & (self.gained > self.lost),
            (self.lost > threshold) & (self.lost > self.gained),
        )


class SiameseModel:
    """The network of a card, ready to answer."""

    def __init__(self, card: ModelCard) -> None:
        if card.network.arch != ARCH:
            raise DataError(f"model {card.name!r}: interprets one date; `aisf-geo segment --model {card.name}` runs it")
        self.card = card
        self.network = fill_network(card, SiameseNetwork()).to(memory_format=torch.channels_last)
        shape = (1, len(card.bands), 1, 1)
        self._mean = torch.tensor([band.mean for band in card.bands]).reshape(shape)
        self._std = torch.tensor([band.std for band in card.bands]).reshape(shape)

    @property
    def threshold(self) -> float:
        """Probability above which a building counts as gained or lost."""
        return float(self.card.network.options.get("threshold", 0.5))  # type: ignore[arg-type] # a number in the card

    def probabilities(self, before: NDArray[np.floating], after: NDArray[np.floating]) -> Probabilities:
        """The answer for two pictures ``(band, y, x)`` of one size, in the card's scale, in overlapping squares."""
        shape = before.shape[1:]
        answer = np.zeros((4, *shape), np.float32)
        step = PATCH_PX - 2 * MARGIN_PX
        for row in range(0, shape[0], step):
            for col in range(0, shape[1], step):
                core = Window(row, col, min(step, shape[0] - row), min(step, shape[1] - col))
                answer[:, *core.slices] = self._square(before, after, core)
        return Probabilities(*answer)

    def _square(self, before: NDArray[np.floating], after: NDArray[np.floating], core: Window) -> NDArray[np.float32]:
        """The answer ``(4, y, x)`` for ``core``; pictures are continued by mirroring beyond their border."""
        rows, cols = (
            _mirrored(start - MARGIN_PX, start + length + MARGIN_PX, limit)
            for start, length, limit in zip(
                (core.row, core.col), (core.height, core.width), before.shape[1:], strict=True
            )
        )
        patches = [torch.from_numpy(np.asarray(p[:, rows][:, :, cols], np.float32))[None] for p in (before, after)]
        one, two = (((p - self._mean) / self._std).to(memory_format=torch.channels_last) for p in patches)
        found = chances(self.network, one, two)[:, 0]
        inside = found[:, MARGIN_PX : MARGIN_PX + core.height, MARGIN_PX : MARGIN_PX + core.width]
        return np.asarray(inside.numpy())


def _mirrored(start: int, stop: int, limit: int) -> NDArray[np.int64]:
    """Indices ``start .. stop - 1``, made up to a multiple of 32, those outside of ``0 .. limit - 1`` mirrored in."""
    length = -(-(stop - start) // 32) * 32
    period = max(2 * (limit - 1), 1)
    index = np.abs(np.arange(start, start + length)) % period
    return np.minimum(index, period - index) if limit > 1 else np.zeros(length, np.int64)


@dataclass(frozen=True)
class SiameseDetector:
    """A siamese model as a method: the score is the probability that a building was gained or lost."""

    model: SiameseModel
    name: str = "siamese"
    legend: Legend = BUILDING_LEGEND
    halo_px: int = MARGIN_PX

    @property
    def bands(self) -> tuple[str, ...]:
        """The card's."""
        return self.model.card.band_names

    @property
    def version(self) -> str:
        """The card's digest."""
        return self.model.card.version

    @property
    def reason(self) -> str:
        """How it decided."""
        return (
            f"model {self.model.card.name}: a building was gained or lost where the network gives more than "
            f"{self.model.threshold:.2f} for it; elsewhere both dates are what it sees on both"
        )

    def min_area_m2(self, _grid: Grid) -> float:
        """That of a shed."""
        return MIN_BUILDING_M2

    def detect(self, epochs: Epochs) -> Detection:
        """From and to "no building" and "building"."""
        seen = epochs.valid
        pictures = [np.where(raster.valid, np.nan_to_num(raster.values), 0) for raster in (epochs.before, epochs.after)]
        found = self.model.probabilities(*pictures)
        gained, lost = found.decided(self.model.threshold)
        stands = (found.before + found.after) / 2 > 0.5
        before = lost | (stands & ~gained)
        after = gained | (stands & ~lost)
        labels = np.where(seen, before.astype(np.uint16) * 256 + after, np.uint16(NOT_COMPARED))
        score = np.maximum(found.gained, found.lost)
        sure = np.where(gained | lost, score, 1 - score)
        nan = np.float32(np.nan)
        return Detection(np.where(seen, score, nan), self.model.threshold, labels, margin_confidence(sure, seen))


def siamese_detector(card: ModelCard, pair: ScenePair) -> SiameseDetector:
    """The method for a pair.

    Raises:
        BandError: the scenes are not 8-bit pictures with the card's bands.
    """
    for scene in (pair.before, pair.after):
        card.usable_bands(scene.band_names, f"model {card.name!r}")
        numbers = read_thumbnail(scene, card.band_names, pair.grid, pair.grid.full_window, LOOKED_AT_PX)
        found = numbers[np.isfinite(numbers)]
        if scene.reflectance or not found.size or found.max() > 255 or found.max() <= 1 or found.min() < 0:
            span = f"{found.min():.4g} to {found.max():.4g}" if found.size else "nothing observed"
            raise BandError(
                f"model {card.name!r} needs 8-bit pictures (0 to 255), scene {scene.id} has numbers of {span}; "
                "scale it to 8 bits, or use cva or irmad"
            )
    return SiameseDetector(SiameseModel(card))


def usable_gsd(card: ModelCard, grid: Grid) -> list[str]:
    """A warning where the pair is finer or coarser than the model was made for."""
    finest, coarsest = card.gsd_m
    if finest <= grid.gsd_m <= coarsest:
        return []
    return [f"the model was made for {finest:g} to {coarsest:g} m, the pair has {grid.gsd_m:.2g} m: expect errors"]
