"""Depthwise convolutions whose gradients are cheap on CPUs.

In torch the backward pass of a depthwise convolution takes most of a training step of a mobile encoder on the CPU. Its
gradient by the input is a depthwise convolution too, with the kernel turned round, and that is fast. The kernels
themselves stay as they are; the pointwise convolutions and normalisations around them learn.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.layers.padding import pad_same
from torch import nn
from torch.nn import functional


class _Depthwise(torch.autograd.Function):
    """``conv2d`` with one kernel for each channel; no gradient for the kernels."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, kernel: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        ctx.save_for_backward(kernel)
        ctx.stride, ctx.padding, ctx.shape = stride, padding, image.shape
        weight = kernel.to(image.dtype)
        return functional.conv2d(image, weight, stride=stride, padding=padding, groups=len(kernel))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (kernel,), (grad,) = ctx.saved_tensors, gradients
        side = kernel.shape[-1]
        if ctx.stride > 1:
            height, width = (n + 2 * ctx.padding - side + 1 for n in ctx.shape[2:])
            spread = grad.new_zeros((*grad.shape[:2], height, width)).to(memory_format=torch.channels_last)
            spread[:, :, :: ctx.stride, :: ctx.stride] = grad
            grad = spread
        turned = kernel.flip(2, 3).to(grad.dtype)
        return functional.conv2d(grad, turned, padding=side - 1 - ctx.padding, groups=len(kernel)), None, None, None


def make_depthwise_fast(network: nn.Module) -> None:
    """Replace the backward pass of every depthwise convolution in ``network``, in place, and freeze their kernels."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels == module.out_channels:
            module.weight.requires_grad_(False)
            module.forward = partial(_answer, module)  # type: ignore[method-assign]


def _answer(module: nn.Conv2d, image: torch.Tensor) -> torch.Tensor:
    padding = int(module.padding[0]) if not isinstance(module.padding, str) else 0
    if type(module).__name__ == "Conv2dSame":
        image = pad_same(image, list(module.weight.shape[-2:]), list(module.stride), list(module.dilation))
        padding = 0
    if torch.is_autocast_enabled("cpu"):
        image = image.to(torch.bfloat16)
    answer: torch.Tensor = _Depthwise.apply(image, module.weight, int(module.stride[0]), padding)
    return answer
