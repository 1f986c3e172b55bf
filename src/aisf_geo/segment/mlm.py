"""A model card as a STAC item with the MLM extension.

What the extension (1.4) has a field for is written there and read from there; the rest of what inference needs carries
the prefix ``aisf:``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisf_geo.segment.card import Head, ModelCard, ModelFile

MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
EXTENSIONS = [
    MLM_SCHEMA,
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
#: First bytes of a multihash that holds a SHA-256 (STAC file extension, ``file:checksum``).
SHA256_MULTIHASH = "1220"
#: Fields that a card leaves out while they are empty.
OPTIONAL_FIELDS = ("not_for", "detection", "domain", "figures")


def fields_of(item: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card as JSON values, from its STAC item.

    Raises:
        KeyError: one is missing; and TypeError, ValueError, IndexError or AttributeError: it has another form.
    """
    properties, assets = item["properties"], item["assets"]
    (image,) = properties["mlm:input"]
    optional = properties.get("aisf:optional_bands", ())
    return {
        "name": properties["mlm:name"],
        "description": properties["description"],
        "created": properties["datetime"],
        "licence": properties["license"],
        "network": properties["aisf:network"],
        "bands": [
            {"name": name, "mean": scaling["mean"], "std": scaling["stddev"], "optional": name in optional}
            for name, scaling in zip(image["bands"], image["value_scaling"], strict=True)
        ],
        "scale": properties["aisf:scale"],
        "gsd_m": properties["aisf:gsd_m"],
        "patch_px": image["input"]["shape"][-1],
        "margin_px": properties["aisf:margin_px"],
        "heads": [_head_fields(output) for output in properties["mlm:output"]],
        "weights": _file_fields(assets["weights"]),
        "training_data": properties["aisf:training_data"],
        **{key: properties[f"aisf:{key}"] for key in OPTIONAL_FIELDS if f"aisf:{key}" in properties},
        "int8": [_file_fields(assets[key]) for key in ("int8", "int8-weights")] if "int8" in assets else None,
        "iou_loss_points": properties["aisf:iou_loss_points"],
        "seconds_per_mpx": properties["aisf:seconds_per_mpx"],
    }


def _head_fields(output: dict[str, Any]) -> dict[str, Any]:
    classes = [
        {
            "code": entry["value"],
            "name": entry.get("title", entry["name"]),
            "colour": list(bytes.fromhex(entry["color_hint"])),
            "role": entry["aisf:role"],
        }
        for entry in output["classification:classes"]
    ]
    return {
        "name": output["name"],
        "legend": {"name": output["aisf:legend"], "classes": classes},
        "temperature": output["aisf:temperature"],
        "unknown_below": output["aisf:unknown_below"],
    }


def _file_fields(asset: dict[str, Any]) -> dict[str, str]:
    checksum = asset["file:checksum"]
    if not checksum.startswith(SHA256_MULTIHASH):
        raise ValueError(f"file:checksum must be a SHA-256 multihash ({SHA256_MULTIHASH}...), found {checksum[:12]!r}")
    return {"path": asset["href"].removeprefix("./"), "sha256": "sha256:" + checksum[len(SHA256_MULTIHASH) :]}


def item_of(card: ModelCard) -> dict[str, Any]:
    """The STAC item of a card; the inverse of :func:`fields_of`."""
    fields = card.model_dump(mode="json")
    assets = {"weights": _asset(card.weights, "safetensors", ["mlm:model", "mlm:weights"])}
    # STAC 1.1 wants the bands that `mlm:input` names described at an asset.
    assets["weights"]["bands"] = [{"name": name, "eo:common_name": name} for name in card.band_names]
    if card.int8:
        assets["int8"] = _asset(card.int8[0], "openvino-ir", ["mlm:model"])
        assets["int8-weights"] = _asset(card.int8[1], "openvino-ir", ["mlm:model", "mlm:weights"])
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": card.name,
        "geometry": None,
        "properties": {
            "datetime": fields["created"],
            "description": card.description,
            "license": card.licence,
            "mlm:name": card.name,
            "mlm:architecture": card.network.arch,
            "mlm:framework": "PyTorch",
            "mlm:tasks": [_task(card)],
            "mlm:input": [_mlm_input(card)],
            "mlm:output": [_mlm_output(card, head) for head in card.heads],
            "aisf:optional_bands": [band.name for band in card.bands if band.optional],
            **{f"aisf:{key}": fields[key] for key in ("network", "scale", "gsd_m", "margin_px", "training_data")},
            **{f"aisf:{key}": fields[key] for key in ("iou_loss_points", "seconds_per_mpx")},
            **{f"aisf:{key}": fields[key] for key in OPTIONAL_FIELDS if fields[key]},
        },
        "links": [],
        "assets": assets,
    }


def _mlm_input(card: ModelCard) -> dict[str, Any]:
    return {
        "name": "image",
        "description": "reflectance, 0..1" if card.scale == "reflectance" else "8-bit display numbers, 0..255",
        "bands": list(card.band_names),
        "input": {
            "shape": [-1, len(card.bands), card.patch_px, card.patch_px],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [{"type": "z-score", "mean": band.mean, "stddev": band.std} for band in card.bands],
        "resize_type": None,
        "pre_processing_function": None,
    }


def _task(card: ModelCard) -> str:
    return "object-detection" if card.detection else "semantic-segmentation"


def _mlm_output(card: ModelCard, head: Head) -> dict[str, Any]:
    channels = card.output_channels if card.detection else len(head.legend.classes)
    return {
        "name": head.name,
        "tasks": [_task(card)],
        "result": {
            "shape": [-1, channels, card.patch_px, card.patch_px],
            "dim_order": ["batch", "classes", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": entry.code,
                # The extension allows no spaces in a name; the title carries ours unchanged.
                "name": re.sub(r"[^0-9A-Za-z_-]+", "-", entry.name),
                "title": entry.name,
                "color_hint": bytes(entry.colour).hex().upper(),
                "aisf:role": entry.role,
            }
            for entry in head.legend.classes
        ],
        "post_processing_function": None,
        "aisf:legend": head.legend.name,
        "aisf:temperature": head.temperature,
        "aisf:unknown_below": head.unknown_below,
    }


def _asset(file: ModelFile, artifact_type: str, roles: list[str]) -> dict[str, Any]:
    return {
        "href": f"./{file.path}",
        "type": "text/xml" if file.path.endswith(".xml") else "application/octet-stream",
        "roles": roles,
        "mlm:artifact_type": artifact_type,
        "file:checksum": SHA256_MULTIHASH + file.sha256.removeprefix("sha256:"),
    }
