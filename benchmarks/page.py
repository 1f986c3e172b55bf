"""docs/benchmarks.md from the reports that `make bench` left in benchmarks/results.

::

    python benchmarks/page.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from measured import RESULTS

PAGE = RESULTS.parents[1] / "docs" / "benchmarks.md"
START = """# The engine, measured

```text
make bench
```

runs this unattended in about 25 minutes and leaves one report for each part in `benchmarks/results/`, from which
`python benchmarks/page.py` writes this page. What each contender does is said at the top of its script. Tracing and
roads are on the page on [vectors](vectors.md), serving on [its own](serving.md).
"""
#: What is aimed at, end to end against the plain loop.
AIMS = {"openvino-fp32": 1.6, "openvino-bf16": 3.0, "openvino-int8": 4.5}


def main() -> None:
    parts = [START]
    for section in (engine, workers, memory, segment, scheduler):
        path = RESULTS / f"{section.__name__}.json"
        if path.exists():
            parts.append(section(json.loads(path.read_text(encoding="utf-8"))))
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def engine(report: dict[str, Any]) -> str:
    """The engine beside loops and peers."""
    results, side = report["results"], report["size"]
    plain, torch = results["plain"], results["alone-torch-fp32"]
    rows, failed = [], []
    for name, r in results.items():
        if "failed" in r:
            failed.append(f"`{name}` failed: {r['failed']}")
            continue
        base, alone = torch if "alone" in name else plain, results.get(name.replace("ours", "alone"))
        adds = [100 * (r[key] / alone[key] - 1) for key in ("seconds", "cpu")] if "ours" in name and alone else []
        figures = [r["seconds"], r["cpu"], r["output_mpx_per_s"], r["network_mpx_per_s"]]
        labels = f"{100 * r['labels_equal']:.3f}" if "labels_equal" in r else ""
        ratio = f"{base['seconds'] / r['seconds']:.2f}"
        aim = f"{AIMS[name[5:]]:g}" if name.startswith("ours-") else ""
        rows.append(
            [name, *(f"{f:.2f}" for f in figures), f"{r['peak_mb']:.0f}", labels, ratio, aim, _both(adds)],
        )
    heads = ["", "s", "CPU s", "output Mpx/s", "network Mpx/s", "peak MB", "labels as `plain`, %", "times as fast"]
    heads += ["aim", "more than the network alone, % (of CPU)"]
    seams = [
        [name, *(f"{metric[key]:.4f}" for key in ("near_seam", "interior", "overlap_factor"))]
        for name, metric in report["seams"].items()
        if "failed" not in metric
    ]
    return "\n".join(
        [
            "## Beside the plain loop, torchgeo and geoai-py\n\n"
            f"{_said(report)} A scene of {side} x {side} px, median of {report['rounds']} round(s) in turn. "
            "`alone` is compared with torch alone, the others with `plain`. Labels differ between precisions by what "
            "rounding changes; torchgeo's lattice begins at another corner, so that its patches see other margins, and "
            "geoai blends where the others cut.\n",
            table(heads, rows),
            *(f"\n{text}" for text in failed),
            "\nMean |dP| against a lattice shifted by half a stride, near seams and midway between them:\n",
            table(["", "near a seam", "interior", "network px for each output px"], seams),
            "",
        ]
    )


def _both(adds: list[float]) -> str:
    return f"{adds[0]:.1f} ({adds[1]:.1f})" if adds else ""


def workers(report: dict[str, Any]) -> str:
    """The same bytes, and what a worker adds."""
    rows = [
        [
            *(str(said[key]) for key in ("block_px", "workers", "happens", "blocks", "computed")),
            *(
                f"{said['seconds']:.1f}",
                f"{said['mpx_per_s']:.2f}" if said["mpx_per_s"] else "",
                f"`{said['sha256'][:16]}`",
            ),
        ]
        for said in report["lines"]
    ]
    heads = [
        "block px",
        "workers",
        "what happens",
        "blocks",
        "computed last",
        "s",
        "Mpx/s, second half",
        "sha256 of labels",
    ]
    verdict = "All labels are the same." if report["same"] else "**The labels differ.**"
    return "\n".join(
        [
            f"## The same bytes from any blocks and workers\n\n{_said(report)} A scene of {report['size']} px a side, "
            f"OpenVINO {report['precision']}; workers share the cores of the machine. {verdict}\n",
            table(heads, rows),
            "",
        ]
    )


def segment(report: dict[str, Any]) -> str:
    """Index methods beside a loop over windows."""
    rows = [
        [name, f"{r['seconds']:.2f}", f"{r['cpu']:.2f}", f"{r['mpx_per_s']:.1f}", f"{r['peak_mb']:.0f}"]
        for name, r in report["results"].items()
    ]
    return "\n".join(
        [
            "## Index methods\n\n"
            f"{_said(report)} Water by a threshold on {report['size']} x {report['size']} px. `plain` writes "
            "one tiled TIFF of labels; ours, on one or two workers with blocks of 512 to 2,048 px, labels and "
            "confidence with overviews, ledger and picture. Seconds include starting workers' imports.\n",
            table(["", "s", "CPU s, first process", "Mpx/s", "peak MB"], rows),
            "",
        ]
    )


def memory(report: dict[str, Any]) -> str:
    """Peak memory for scenes of several sizes."""
    rows = [
        [f"{r['size']:,}", str(r["classes"]), f"{r['blocks']:,}", f"{r['cpu_seconds']:.0f}", f"{r['peak_mb']:,}"]
        for r in report["results"]
    ]
    return "\n".join(
        [
            "## Memory does not grow with the scene\n\n"
            f"{_said(report)} A network of one convolution, four bands of 16 bits, in one process "
            "(`python benchmarks/memory.py --size SIDE`); the limit is 1,536 MB.\n",
            table(["side px", "classes", "blocks", "CPU s", "peak MB"], rows),
            "",
        ]
    )


def scheduler(report: dict[str, Any]) -> str:
    """What a block costs Dask."""
    measured = report["measured_scheduler"]
    rows = [
        [
            *(f"{run[key]:,}" for key in ("workers", "tasks")),
            *(f"{run[key]:.2f}" for key in ("hours", "efficiency", "scheduler_busy")),
        ]
        for run in report["simulated"]
    ]
    return "\n".join(
        [
            "## What a block costs the scheduler\n\n"
            f"{_said(report)} {measured['tasks']:,} tasks of the engine's size that do nothing, two workers, client "
            f"and scheduler in one process: {measured['scheduler_and_client_cpu_ms_per_task']:.1f} ms of CPU and "
            f"{1000 / measured['tasks_per_s']:.1f} ms each. With that CPU for each block, simulated for the land "
            "surface (see [scaling](scaling.md)):\n",
            table(["workers", "blocks", "hours", "share of time computing", "scheduler busy"], rows),
            "",
        ]
    )


def table(heads: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def _said(report: dict[str, Any]) -> str:
    busy = "" if not report["machine_is_shared"] else f", which others used (load {report['load_per_core']} a core)"
    return f"{report['date'][:10]}, {report['machine']}{busy}, commit {report['commit']}."


if __name__ == "__main__":
    main()
