"""What is known of a scene or a method, as plain values for people and programs."""

from __future__ import annotations

from typing import Any

from aisf_geo.errors import BandError, UsageError
from aisf_geo.ingest.scene import Scene
from aisf_geo.segment.card import find_model, list_models, load_card
from aisf_geo.segment.spectral import METHODS, Method, method
from aisf_geo.shipped import model_folders


def describe_scene(scene: Scene) -> dict[str, Any]:
    """Grid, bands, time, terms and the methods whose bands are there."""
    period = scene.period
    return {
        "id": scene.id,
        "acquired": f"{period.start.isoformat()} to {period.end.isoformat()}" if period else None,
        "crs": scene.grid.pyproj_crs.to_string()[:60],
        "shape": list(scene.grid.shape),
        "gsd_m": round(scene.grid.gsd_m, 3),
        "bounds": [round(v, 6) for v in scene.grid.bounds],
        "bands": list(scene.band_names),
        "values": "reflectance" if scene.reflectance else "uncalibrated numbers",
        "nodata": scene.bands[0][1].nodata,
        "quality_band": scene.quality[0] if scene.quality else None,
        "sensor": scene.sensor,
        "licence": scene.licence,
        "attribution": scene.attribution,
        "methods": [name for name, each in METHODS.items() if _usable(each, scene)],
    }


def _usable(each: Method, scene: Scene) -> bool:
    try:
        each.index_for(scene.band_names)
    except BandError:
        return False
    return True


def describe_methods() -> list[dict[str, Any]]:
    """One line for each method and shipped model."""
    methods = [
        {"name": m.name, "kind": "index", "classes": ", ".join(c.name for c in m.legend.classes)}
        for m in METHODS.values()
    ]
    cards = [load_card(folder) for folder in list_models(model_folders()).values()]
    return methods + [
        {"name": c.name, "kind": "network", "classes": ", ".join(k.name for k in c.heads[0].legend.classes)}
        for c in cards
    ]


def describe_method(name: str) -> dict[str, Any]:
    """A method or model in full.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METHODS:
        models = list_models(model_folders())
        if name not in models:
            raise UsageError(f"models: asked for {name!r}, known are {', '.join([*METHODS, *models])}")
        return find_model(name, model_folders()).model_dump(mode="json", exclude={"folder"})
    known = method(name)
    return {
        "name": known.name,
        "kind": "index and threshold, no weights",
        "classes": [f"{c.code} {c.name} (counts as {c.role})" for c in known.legend.classes],
        "indices": [
            f"{i.name} = ({i.a} - {i.b}) / ({i.a} + {i.b}) > {i.default:g} by default; {i.source}"
            for i in known.indices
        ],
        "also needs": list(known.extra_bands) or ["nothing else"],
        "threshold": "the lowest point between two modes of the scene's index, else the default",
        "narrowest": f"bodies narrower than {known.min_width_m:g} m are left out" if known.min_width_m else "any width",
        "confidence": "distance from the threshold, 0.5 at it; a margin, not a probability",
    }
