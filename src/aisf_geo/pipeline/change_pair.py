"""The work behind ``change``: what was asked, compared, written and shown."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.ingest.catalog import Hints
from aisf_geo.pipeline.change_control import write_with_control
from aisf_geo.pipeline.change_page import write_change_page
from aisf_geo.pipeline.change_scenes import folder_name, source_of
from aisf_geo.store.run import RunFolder


@dataclass(frozen=True)
class Compared:
    """What ``change`` was asked.

    Attributes:
        method: of two images; None for two label maps.
        bands: names of the files' bands, in file order.
        use_bands: those to compare; None means all that both dates share, or those the method needs.
        control: two dates between which nothing changed.
        control_area: polygons in which nothing changed.
        min_area_m2: smallest feature; None means the smallest that can be told from misplacement.
    """

    before: Path
    after: Path
    method: str | None = None
    bands: tuple[str, ...] | None = None
    use_bands: tuple[str, ...] | None = None
    sensor: str | None = None
    control: tuple[Path, Path] | None = None
    control_area: Path | None = None
    min_area_m2: float | None = None


def compare(asked: Compared, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Compare two dates into ``out/change/<pair>``; returns the summary.

    Raises:
        UsageError: both kinds of control were given, or the method does not fit.
        OutputError: this pair was compared before and may not be replaced, or ``out`` is a file.
    """
    if asked.control and asked.control_area:
        raise UsageError("change: --control and --control-area were both given; choose one")
    if out.exists() and not out.is_dir():
        raise OutputError(f"output {out}: is a file, a folder is needed; choose another --out")
    hints = Hints(asked.bands, asked.sensor)
    source = source_of(asked.before, asked.after, asked.method, hints, asked.use_bands)
    folder = RunFolder(out).change / folder_name(source)
    if (folder / "summary.json").exists() and not overwrite:
        raise OutputError(f"output {folder}: this pair was compared before; add --overwrite or choose another --out")
    control: Any = asked.control_area
    if asked.control:
        control = source_of(*asked.control, asked.method, hints, asked.use_bands)
    shutil.rmtree(folder, ignore_errors=True)
    summary = write_with_control(source, folder, control, asked.min_area_m2)
    write_change_page(source, folder, summary, f"Change from {source.id.replace('_', ' to ')}")
    return summary
