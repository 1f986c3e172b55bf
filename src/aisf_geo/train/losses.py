"""Losses that count only what is labelled."""

from __future__ import annotations

import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch.nn.functional import cross_entropy

from aisf_geo.evaluate.metrics import UNLABELLED

#: Part of the Dice loss beside cross-entropy: the one cares for each class's overlap, the other for probabilities.
DICE_SHARE = 0.5


class HeadLoss:
    """Cross-entropy, weighted by class, and Dice of one head; 0 and without gradient where nothing is labelled."""

    def __init__(self, class_weights: torch.Tensor) -> None:
        self._weights = class_weights
        # Of two classes the first is the background, whose overlap says little.
        classes = [1] if len(class_weights) == 2 else list(range(len(class_weights)))
        self._dice = DiceLoss("multiclass", classes=classes, ignore_index=UNLABELLED)

    def __call__(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Loss of logits ``(n, class, y, x)`` against places in the legend ``(n, y, x)``, 255 not labelled."""
        labelled = (truth != UNLABELLED).flatten(1).any(1)
        if not labelled.any():
            return logits.sum() * 0
        logits, truth = logits[labelled], truth[labelled]
        weights = self._weights.to(logits.device)
        overlap: torch.Tensor = self._dice(logits, truth)
        return cross_entropy(logits, truth, weights, ignore_index=UNLABELLED) + DICE_SHARE * overlap


def class_weights(pixels: list[int], balance: float) -> torch.Tensor:
    """Frequency to the power of ``-balance``, of mean 1 over pixels; at most ten times the smallest."""
    counts = torch.tensor(pixels, dtype=torch.float64).clamp_min(1)
    share = counts / counts.sum()
    weights = share**-balance
    weights = weights.clamp_max(10 * float(weights.min()))
    return (weights / (weights * share).sum()).float()
