"""The training loop: any network, any loss; seeded, resumable to the bit, averaged, timed.

To train something else, write a :class:`Task` and call :func:`train`::

    class Centres:                                   # no base class: a Task is whatever has these four methods
        def build(self): return smp.create_model(...)                     # start weights; torch is seeded
        def batch(self, rng): return inputs, targets                      # tensors for one step, or tuples of them
        def loss(self, answer, target): return loss                       # answer in fp32, a scalar back
        def validate(self, predict): return {"score": f1, "ap50": ap}     # predict(inputs) -> answer, of the average

    trained = train(Centres(), Schedule(minutes=20), Path("work/vehicles"))
    save_weights(trained.network, folder)

``batch`` must draw from ``rng`` (numpy) and torch's generator alone: both are seeded by the step, so that a resumed run
repeats what an uninterrupted one does. A network of two images takes a tuple as inputs. On the CPU the convolutions run
in bf16, channels last; depthwise ones that learn stay in fp32, whose gradient is several times faster there. Faster
still is not to teach them: see :mod:`aisf_geo.train.depthwise` (decision 0020).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from aisf_geo.errors import DataError, OutputError
from aisf_geo.train.recipe import Schedule

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
#: Seconds between checkpoints.
CHECKPOINT_EVERY_S = 120.0
MAX_GRADIENT_NORM = 2.0
#: Steps after which the average weighs as the schedule says; before, it forgets faster.
EMA_RAMP = 10
REPORT_STEPS = 10

Tensors = torch.Tensor | tuple[torch.Tensor, ...]
Predict = Callable[[Tensors], torch.Tensor]


class Task(Protocol):
    """What is trained; see the module for an example."""

    def build(self) -> torch.nn.Module:
        """The network with its start weights."""
        ...

    def batch(self, rng: np.random.Generator) -> tuple[Tensors, Any]:
        """Inputs and targets of one step."""
        ...

    def loss(self, answer: torch.Tensor, target: Any) -> torch.Tensor:
        """A scalar; ``answer`` is the network's, in fp32."""
        ...

    def validate(self, predict: Predict) -> dict[str, float]:
        """Figures on places kept for it; ``score`` is compared between trainings, higher is better."""
        ...


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        network: the averaged weights, for inference.
        figures: of the last validation.
        seconds: of all steps together.
        log: one row per report (step, progress, loss, rate, seconds) and per validation (step and its figures).
    """

    network: torch.nn.Module
    figures: dict[str, float]
    seconds: float
    log: list[dict[str, float]]


@dataclass
class _State:
    """What a checkpoint holds."""

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    step: int = 0
    seconds: float = 0.0
    validated: int = 0
    log: list[dict[str, float]] = field(default_factory=list)


def train(
    task: Task,
    schedule: Schedule,
    work: Path,
    *,
    fingerprint: str = "",
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> Trained:
    """Trains to the end of the schedule; checkpoints and the log go to ``work``.

    Args:
        task: what to train.
        schedule: how long and how fast.
        work: folder for the checkpoint, which a later call with ``resume`` continues, and the log.
        fingerprint: of whatever decides the result; a checkpoint of another is refused.
        resume: continue the checkpoint in ``work``; without one, begin.
        report: gets a line now and then.

    Raises:
        OutputError: ``work`` holds a checkpoint and ``resume`` was not asked, or it belongs to another training.
        DataError: the loss is no longer finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work.mkdir(parents=True, exist_ok=True)
    state = _begun(task, schedule, device)
    path = work / CHECKPOINT
    if path.exists():
        if not resume:
            raise OutputError(f"training {work}: holds a checkpoint; use --resume to continue it, or another folder")
        _restore(state, path, fingerprint)
        report(f"resumed at step {state.step}, {state.seconds / 60:.1f} min")
    saved = time.monotonic()
    losses: list[float] = []
    while _progress(state, schedule) < 1:
        losses.append(_step(task, schedule, state, device))
        if state.step % REPORT_STEPS == 0:
            _note(state, schedule, float(np.mean(losses)), report)
            losses.clear()
        if _progress(state, schedule) * schedule.validations >= state.validated + 1:
            _validate(task, state, device, report)
            state.validated += 1
        if time.monotonic() - saved > CHECKPOINT_EVERY_S:
            _save(state, work, fingerprint)
            saved = time.monotonic()
    _save(state, work, fingerprint)
    network = _averaged(task, state, device)
    last = next(row for row in reversed(state.log) if "score" in row)
    figures = {name: value for name, value in last.items() if name != "step"}
    return Trained(network, figures, state.seconds, state.log)


def _begun(task: Task, schedule: Schedule, device: torch.device) -> _State:
    torch.manual_seed(schedule.seed)
    network = task.build().to(device).to(memory_format=torch.channels_last).train()
    if device.type == "cpu":
        _keep_depthwise_in_fp32(network)
    learnt = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    encoder = [p for name, p in learnt if name.startswith("encoder.")]
    other = [p for name, p in learnt if not name.startswith("encoder.")]
    groups = [
        {"params": encoder, "share": schedule.encoder_rate, "lr": 0.0},
        {"params": other, "share": 1.0, "lr": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=0.0, weight_decay=schedule.weight_decay)
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return _State(network, optimiser, average)


def _keep_depthwise_in_fp32(network: torch.nn.Module) -> None:
    for module in network.modules():
        depthwise = isinstance(module, torch.nn.Conv2d) and module.groups == module.in_channels > 1
        if depthwise and module.weight.requires_grad:
            module.forward = _outside_autocast(module.forward)


def _outside_autocast(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def in_fp32(image: torch.Tensor) -> torch.Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return forward(image.float())

    return in_fp32


def _progress(state: _State, schedule: Schedule) -> float:
    """Share of the schedule that is done, by steps or by the clock."""
    if schedule.steps is not None:
        return state.step / schedule.steps
    return state.seconds / 60 / (schedule.minutes or 1.0)


def _rate(state: _State, schedule: Schedule) -> float:
    """A linear rise, then half a cosine (Loshchilov and Hutter 2017, SGDR without restarts)."""
    rise = min(1.0, (state.step + 1) / max(1, schedule.warmup_steps))
    return schedule.rate * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, _progress(state, schedule))))


def _step(task: Task, schedule: Schedule, state: _State, device: torch.device) -> float:
    started = time.monotonic()
    rng = np.random.default_rng([schedule.seed, state.step])
    torch.manual_seed(int(rng.integers(2**62)))
    inputs, target = task.batch(rng)
    rate = _rate(state, schedule)
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    loss = task.loss(_answer(state.network, inputs, device), _to(target, device))
    if not torch.isfinite(loss):
        raise DataError(
            f"training: the loss is {float(loss.detach())} at step {state.step}; check the data, or lower `rate`"
        )
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), MAX_GRADIENT_NORM)
    state.optimiser.step()
    state.step += 1
    _average(state, schedule.ema)
    state.seconds += time.monotonic() - started
    return float(loss.detach())


def _average(state: _State, decay: float) -> None:
    kept = min(decay, (1 + state.step) / (EMA_RAMP + state.step))
    for name, tensor in state.network.state_dict().items():
        if tensor.is_floating_point():
            state.average[name].lerp_(tensor.detach(), 1 - kept)
        else:
            state.average[name].copy_(tensor)


def _answer(network: torch.nn.Module, inputs: Tensors, device: torch.device) -> torch.Tensor:
    images = inputs if isinstance(inputs, tuple) else (inputs,)
    moved = [image.to(device).contiguous(memory_format=torch.channels_last) for image in images]
    with torch.autocast(device.type, torch.bfloat16):
        answer: torch.Tensor = network(*moved)
    return answer.float()


def _to(target: Any, device: torch.device) -> Any:
    """Tensors, and those in dictionaries, lists and tuples, on the device."""
    if isinstance(target, torch.Tensor):
        return target.to(device)
    if isinstance(target, dict):
        return {key: _to(value, device) for key, value in target.items()}
    if isinstance(target, (list, tuple)):
        return type(target)(_to(value, device) for value in target)
    return target


def _averaged(task: Task, state: _State, device: torch.device) -> torch.nn.Module:
    """A second network with the average, for inference."""
    network = task.build()
    network.load_state_dict(state.average)
    return network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _validate(task: Task, state: _State, device: torch.device, report: Callable[[str], None]) -> None:
    network = _averaged(task, state, device)

    def predict(inputs: Tensors) -> torch.Tensor:
        with torch.inference_mode():
            return _answer(network, inputs, device)

    figures = task.validate(predict)
    state.log.append({"step": state.step, **figures})
    report("validation: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


def _note(state: _State, schedule: Schedule, loss: float, report: Callable[[str], None]) -> None:
    done = _progress(state, schedule)
    left = state.seconds * (1 / done - 1) if done else math.inf
    row = {"step": state.step, "progress": done, "loss": loss, "seconds": state.seconds, "rate": _rate(state, schedule)}
    state.log.append(row)
    report(f"step {state.step}: loss {loss:.3f}, {100 * done:.0f} %, {left / 60:.1f} min left")


def _save(state: _State, work: Path, fingerprint: str) -> None:
    """Writes the checkpoint beside the old one, then in its place."""
    content = {
        "fingerprint": fingerprint,
        "network": state.network.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average,
        **{name: getattr(state, name) for name in ("step", "seconds", "validated", "log")},
    }
    part = work / f"{CHECKPOINT}.part"
    torch.save(content, part)
    part.replace(work / CHECKPOINT)
    (work / LOG).write_text("".join(json.dumps(row) + "\n" for row in state.log), encoding="utf-8")


def _restore(state: _State, path: Path, fingerprint: str) -> None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler does
        raise OutputError(f"training {path}: not a checkpoint ({error}); remove it, or use another folder") from error
    if content["fingerprint"] != fingerprint:
        raise OutputError(f"training {path}: belongs to another recipe; use another folder, or remove it")
    state.network.load_state_dict(content["network"])
    state.optimiser.load_state_dict(content["optimiser"])
    for name, tensor in content["average"].items():
        state.average[name].copy_(tensor)
    for name in ("step", "seconds", "validated", "log"):
        setattr(state, name, content[name])
