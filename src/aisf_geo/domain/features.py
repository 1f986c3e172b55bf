"""The column contract of every feature table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, pandas dtype and meaning with unit."""

    name: str
    dtype: str
    meaning: str


FEATURE_COLUMNS: tuple[Column, ...] = (
    Column("id", "str", "stable within the item: item id and number"),
    Column("class", "uint8", "legend code; 254 = observed but undecided"),
    Column("class_name", "str", "legend name"),
    Column("area_m2", "float64", "sum of the areas on the ellipsoid of the feature's pixels, m2"),
    Column("confidence", "float64", "mean confidence of the pixels, 0..1"),
    Column("confidence_p10", "float64", "tenth percentile of the pixels' confidence, 0..1"),
    Column("datetime", "str", "acquisition, RFC 3339; empty where only a range is known"),
    Column("scene", "str", "id of the source scene"),
    Column("edge", "bool", "True where the feature touches the image edge or an unobserved pixel"),
    Column("perimeter_m", "float64", "length of the outline, holes included, m"),
    Column("open_border_share", "float64", "share of the outline on the image edge or unobserved pixels, 0..1"),
)
