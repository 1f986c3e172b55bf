"""The inference backends, torch and OpenVINO, behind one protocol.

A session is fixed to one runtime, precision, thread count and input shape, the batch included: in torch the last bits
of a patch's logits can change with the size of its batch and with the number of threads. On the CPU a network gets one
patch at a time; in OpenVINO as many patches are computed at a time as there are cores, by one thread each, so that
neither cores nor workers change a byte and no thread waits for another (decisions 0004, 0085).
"""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from types import ModuleType
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from aisf_geo.errors import DataError, UsageError
from aisf_geo.segment.card import ModelCard, verified_bytes
from aisf_geo.segment.network import load_network
from aisf_geo.settings import usable_cores

RuntimeName = Literal["auto", "torch", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]

#: Loss against the reference, in points of mean IoU, up to which ``auto`` takes a reduced precision.
AUTO_LOSS_POINTS: dict[Precision, float] = {"fp32": 0.0, "bf16": 0.1, "int8": 0.3}
#: Patches a GPU gets at once; a constant, because cuDNN may choose another algorithm for another batch.
CUDA_BATCH = 8
#: Side of the image that a network is traced with for OpenVINO; 640 px would take 0.4 GB more. The architectures
#: of the library but these answer the same however large the image was (checked, decision 0004).
TRACE_PX = 128
FIXED_SIZE_ARCHS = frozenset({"dpt"})
#: Instruction sets that make a CPU library choose other kernels, and so other last bits.
CPU_FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)


@dataclass(frozen=True, slots=True)
class RuntimeIdentity:
    """What labels are byte-identical under; ``run.json`` records it and a resumed run must match it.

    Attributes:
        device: ``cpu``, or the name of the GPU.
        cpu: vendor, family and model; ``features`` those of :data:`CPU_FEATURES` it has.
        threads: that compute one patch together, whatever the number of workers.
        version: of the library.
    """

    runtime: str
    precision: str
    device: str
    cpu: str
    features: tuple[str, ...]
    threads: int
    version: str

    def as_json(self) -> dict[str, Any]:
        """A JSON object; equal objects mean equal bytes."""
        return {**asdict(self), "features": list(self.features)}


class Runtime(Protocol):
    """A network ready to run."""

    @property
    def identity(self) -> RuntimeIdentity:
        """Under which its answers are reproducible to the byte."""
        ...

    @property
    def batch(self) -> int:
        """Number of patches that :meth:`predict`, which takes any number, is best given at once."""
        ...

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(n, channel, y, x)`` of normalised patches ``(n, band, y, x)``, both of the card's patch size."""
        ...


class TorchRuntime:
    """The reference (fp32), and bf16 autocast; on the first GPU where there is one."""

    def __init__(self, card: ModelCard, precision: Precision, threads: int) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(threads)
        if device == "cuda":
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        self._device = torch.device(device)
        self._bf16 = precision == "bf16"
        self._network = load_network(card).to(self._device).to(memory_format=torch.channels_last)
        self._turn = Lock()
        self.batch = CUDA_BATCH if device == "cuda" else 1
        name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
        self.identity = _identity("torch", precision, name, threads, torch.__version__)

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`Runtime`."""
        batch = np.ascontiguousarray(batch)
        with self._turn:
            parts = [self._predict(batch[i : i + self.batch]) for i in range(0, len(batch), self.batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        if count < self.batch:
            batch = np.concatenate([batch, np.zeros((self.batch - count, *batch.shape[1:]), np.float32)])
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            tensor = torch.from_numpy(batch).to(self._device).contiguous(memory_format=torch.channels_last)
            logits = self._network(tensor)[:count].float().cpu().contiguous()
        return np.asarray(logits.numpy(), dtype=np.float32)


class OpenVinoRuntime:
    """OpenVINO on the CPU: the network converted in memory, or the int8 IR that lies beside the weights."""

    def __init__(self, card: ModelCard, precision: Precision, threads: int) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        model = _read_int8(core, card) if precision == "int8" else converted_network(card)
        shape = [1, len(card.bands), card.patch_px, card.patch_px]
        model.reshape(shape)
        expected = [1, card.output_channels, card.patch_px, card.patch_px]
        if list(model.output(0).shape) != expected:
            raise DataError(
                f"model {card.name!r}: the card says output {expected}, the network gives "
                f"{list(model.output(0).shape)}; build the card and the network together"
            )
        config = {
            # Without the hint OpenVINO takes bf16 wherever the CPU has it.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            # Workers do not know of each other and would all pin their first thread to the first core.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(model, "CPU", config)
        self._channels, self.batch = card.output_channels, threads
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(threads):
            self._idle.put(compiled.create_infer_request())
        self._streams = ThreadPoolExecutor(threads, thread_name_prefix="patch")
        self.identity = _identity("openvino", precision, "cpu", 1, openvino.get_version())

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`Runtime`."""
        logits = np.empty((len(batch), self._channels, *batch.shape[2:]), np.float32)
        for _ in self._streams.map(self._infer, np.ascontiguousarray(batch), logits):
            pass
        return logits

    def _infer(self, patch: NDArray[np.float32], logits: NDArray[np.float32]) -> None:
        request = self._idle.get()
        try:
            request.infer([patch[None]], share_inputs=True, share_outputs=True)
            logits[...] = request.get_output_tensor(0).data[0]
        finally:
            self._idle.put(request)


def choose_runtime(
    card: ModelCard, runtime: str = "auto", precision: str | None = None, threads: int | None = None
) -> Runtime:
    """A session for the card's network.

    ``auto`` takes the fastest combination that this machine has and whose loss, stated in the card, is small enough
    (:data:`AUTO_LOSS_POINTS`); a loss that is not stated counts as too large. A named runtime without a precision
    chooses the same way within it, except that torch is then the fp32 reference on a CPU. A named precision is taken
    whatever its loss.

    Args:
        card: the model.
        runtime: ``auto``, ``torch`` or ``openvino``.
        precision: ``fp32``, ``bf16``, ``int8``, or None to choose.
        threads: cores the session may use; all that this process may use if None.

    Raises:
        UsageError: no such runtime or precision, or this machine or card does not have it; before any file is read.
        DataError: the model's files do not match its card.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads: asked for {threads}, a session needs at least 1")
    name, chosen = resolve_runtime(card, runtime, precision)
    session = TorchRuntime if name == "torch" else OpenVinoRuntime
    return session(card, chosen, threads or usable_cores())


def resolve_runtime(card: ModelCard, runtime: str, precision: str | None) -> tuple[str, Precision]:
    """The first combination, fastest first, that is asked for, available and accurate enough; loads nothing.

    Raises:
        UsageError: no such runtime or precision, or this machine or card does not have it.
    """
    if runtime not in get_args(RuntimeName):
        raise UsageError(f"runtime: asked for {runtime!r}, known are {', '.join(get_args(RuntimeName))}")
    if precision is not None and precision not in get_args(Precision):
        raise UsageError(f"precision: asked for {precision!r}, known are {', '.join(get_args(Precision))}")
    refusals = []
    for name, candidate in _fastest_first():
        if runtime not in ("auto", name) or precision not in (None, candidate):
            continue
        if refusal := _refusal(card, name, candidate, explicit=precision is not None):
            refusals.append(f"{name} {candidate}: {refusal}")
        else:
            return name, candidate
    asked = " ".join(filter(None, (runtime, precision)))
    reasons = "; ".join(refusals) or "that combination does not exist"
    raise UsageError(
        f"runtime: asked for {asked} for model {card.name!r}, but {reasons}; leave --precision and --runtime out"
    )


def _fastest_first() -> tuple[tuple[str, Precision], ...]:
    """Order of speed, measured on two cores with and without bf16 units (decision 0004)."""
    cpu: tuple[tuple[str, Precision], ...] = (
        *(("openvino", "int8"), ("openvino", "bf16"), ("openvino", "fp32")),
        *(("torch", "fp32"), ("torch", "bf16")),
    )
    return (("torch", "bf16"), ("torch", "fp32"), *cpu[:3]) if torch.cuda.is_available() else cpu


def _refusal(card: ModelCard, name: str, precision: Precision, *, explicit: bool) -> str | None:
    """Why a combination cannot be used, or, unless it was asked for, is not accurate enough; None if it can."""
    if precision == "int8" and card.int8 is None:
        return "the model has no int8 network; build it with `aisf-geo models build-int8`"
    if name == "openvino":
        try:
            computes = _openvino_capabilities()
        except ImportError:
            return "OpenVINO is not installed; install `openvino`"
        if precision == "bf16" and "BF16" not in computes:
            return "this CPU has no bf16 units, OpenVINO would silently compute in fp32"
    loss = 0.0 if precision == "fp32" else card.iou_loss_points.get(precision)
    if not explicit and (loss is None or loss > AUTO_LOSS_POINTS[precision]):
        return f"its loss in the card is {loss}, the limit is {AUTO_LOSS_POINTS[precision]} points of IoU"
    return None


def import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which otherwise reports every import and conversion.

    The package has no switch for it, but does without when the telemetry package cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes the import fail
    import openvino

    module: ModuleType = openvino
    return module


def _openvino_capabilities() -> list[str]:
    return list(import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def converted_network(card: ModelCard) -> Any:
    """The network as an OpenVINO model of any input size.

    Raises:
        DataError: the weights do not match the card.
    """
    openvino = import_openvino()
    side = card.patch_px if card.network.arch.lower() in FIXED_SIZE_ARCHS else min(card.patch_px, TRACE_PX)
    example = torch.zeros(1, len(card.bands), side, side)
    network = load_network(card)
    with _quiet_tracing():
        return openvino.convert_model(network, example_input=example)


@contextmanager
def _quiet_tracing() -> Iterator[None]:
    """OpenVINO traces with ``torch.jit``, which torch deprecates; branches on the input's size do not matter to us."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # not in __all__
        yield


def _read_int8(core: Any, card: ModelCard) -> Any:
    assert card.int8 is not None  # noqa: S101 - narrows the type; _refusal has turned such a card away
    xml, weights = (verified_bytes(card, file) for file in card.int8)
    try:
        return core.read_model(model=xml, weights=weights)
    except RuntimeError as error:
        raise DataError(f"model {card.name!r}: {card.int8[0].path} is not an OpenVINO network ({error})") from error


def _identity(runtime: str, precision: str, device: str, threads: int, version: str) -> RuntimeIdentity:
    cpu, features = _cpu_class()
    return RuntimeIdentity(runtime, precision, device, cpu, features, threads, version)


def _cpu_class() -> tuple[str, tuple[str, ...]]:
    """Vendor, family and model of the CPU, and those of :data:`CPU_FEATURES` it has."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return f"{platform.machine()} {platform.processor()}".strip(), ()
    fields: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    words = (fields.get("flags") or fields.get("Features") or "").split()
    cpu = " ".join(fields.get(key, "") for key in ("vendor_id", "CPU implementer", "cpu family", "model", "CPU part"))
    return " ".join(cpu.split()) or platform.machine(), tuple(name for name in CPU_FEATURES if name in words)
