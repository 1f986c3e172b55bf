"""Cards of models that exist only in tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.segment.card import BandScaling, Head, ModelCard, ModelFile, NetworkSpec

TWO = Legend("two", (LegendClass(0, "none", (0, 0, 0)), LegendClass(1, "some", (255, 0, 0))))


def made_card(bands: tuple[str | BandScaling, ...] = ("red", "green", "blue"), **changes: Any) -> ModelCard:
    """A card whose network nobody builds."""
    fields: dict[str, Any] = {
        "name": "fake",
        "description": "",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "licence": "CC0-1.0",
        "network": NetworkSpec(arch="unet", encoder="none"),
        "bands": tuple(BandScaling(name=b, mean=0, std=1) if isinstance(b, str) else b for b in bands),
        "scale": "8-bit",
        "gsd_m": (1.0, 1.0),
        "patch_px": 128,
        "margin_px": 32,
        "heads": (Head(name="two", legend=TWO),),
        "weights": ModelFile(path="w", sha256="sha256:" + 64 * "0"),
    }
    return ModelCard(**{**fields, **changes})
