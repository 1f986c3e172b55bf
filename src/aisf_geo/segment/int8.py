"""The int8 network of a model: quantised after training with NNCF, as an OpenVINO IR beside the weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, UsageError
from aisf_geo.segment.card import ModelCard, ModelFile
from aisf_geo.segment.runtime import converted_network, import_openvino

#: Largest IR that is shipped.
LARGEST_BYTES = 20 * 10**6
INT8_FOLDER = "int8"
#: Share of a patch's values beyond either end of the range that int8 numbers span.
OUTERMOST = 1e-3


def build_int8(card: ModelCard, patches: Sequence[NDArray[np.float32]], folder: Path) -> tuple[ModelFile, ModelFile]:
    """Writes ``int8/model.xml`` and ``.bin`` below ``folder`` and returns what a card says of them.

    Args:
        card: of a model whose weights are there.
        patches: normalised network inputs ``(1, band, y, x)`` of training places; their ranges set the scales.
        folder: the model's.

    Raises:
        UsageError: NNCF is not installed.
        DataError: the network is too large to ship.
    """
    openvino = import_openvino()
    try:
        import nncf
    except ImportError as error:
        raise UsageError("int8: NNCF is not installed; install `aisf-geo[train]`") from error
    model = converted_network(card)
    with redirect_stdout(sys.stderr):  # NNCF draws its progress where a command prints its document
        quantised = nncf.quantize(
            model,
            nncf.Dataset(patches),
            subset_size=len(patches),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=_widest_ranges(),
        )
    target = folder / INT8_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantised, target / "model.xml", compress_to_fp16=True)
    files = [target / "model.xml", target / "model.bin"]
    if (size := sum(path.stat().st_size for path in files)) > LARGEST_BYTES:
        raise DataError(f"int8: {size / 1e6:.1f} MB, the limit is {LARGEST_BYTES / 1e6:.0f} MB; use a smaller network")
    xml, weights = (
        ModelFile(path=f"{INT8_FOLDER}/{path.name}", sha256=sha256_bytes(path.read_bytes())) for path in files
    )
    return xml, weights


def _widest_ranges() -> Any:
    """The widest range of any patch, without the outermost pixels of each.

    The default, the mean of the patches' extremes, cuts off what few of them show, such as bright cloud; the extremes
    themselves leave too few steps for everything else (decision 0024).
    """
    import nncf
    from nncf.quantization.range_estimator import (
        AggregatorType,
        RangeEstimatorParameters,
        StatisticsCollectorParameters,
        StatisticsType,
    )

    def limit(widest: AggregatorType) -> StatisticsCollectorParameters:
        return StatisticsCollectorParameters(StatisticsType.QUANTILE, widest, quantile_outlier_prob=OUTERMOST)

    ranges = RangeEstimatorParameters(min=limit(AggregatorType.MIN), max=limit(AggregatorType.MAX))
    return nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges)
