"""What commands print: JSON for programs, small tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from aisf_geo.pipeline.run import RunOutcome

#: Width of tables where the output is no terminal, so that a log is not broken at 80 columns.
LOG_COLUMNS = 120


def print_json(content: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def item_table(result: RunOutcome) -> None:
    """The scenes of a run and how much of them was seen."""
    table = _table("scene", ">blocks", ">computed now", ">seen", ">cloud or shadow")
    for o in result.items:
        failed = f" ({o.failed} failed)" if o.failed else ""
        table.add_row(o.item, f"{o.blocks}{failed}", str(o.computed), _pct(o.coverage), _pct(o.obscured_share))
    _print(table)


def indicator_table(rows: Sequence[dict[str, Any]]) -> None:
    """The last value of each indicator and zone that was not withheld, or why there is none."""
    last: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["formula"], row["name"], row["zone"]
        if row["value"] is not None or key not in last or last[key]["value"] is None:
            last[key] = row
    if not last:
        return
    table = _table("indicator (last value seen)", "zone", "date", ">value", "interval", ">seen")
    for row in last.values():
        value = (
            f"{row['value']:,.2f} {row['unit']}" if row["value"] is not None else f"withheld: {row['withheld_reason']}"
        )
        interval = (
            "none yet" if row["interval"] is None else f"{row['interval']['low']:.4g} to {row['interval']['high']:.4g}"
        )
        name = f"{row['name']} [{row['formula']}]"
        table.add_row(name, row["zone_name"], row["period"]["start"][:10], value, interval, _pct(row["coverage"]))
    _print(table)


def evaluation_table(document: dict[str, Any]) -> None:
    """The figures of an evaluation: the whole, each class, each place worst first."""
    title = {key: document[key] for key in ("model", "method", "head", "data", "split", "images") if key in document}
    click.echo(", ".join(f"{key} {value}" for key, value in title.items()))
    for key in ("accuracy", "mean_iou", "relaxed_f1", "object_f1", "ap50", "ece"):
        if document.get(key) is not None:
            low_high = (document["interval"] or {}).get(key)
            interval = f"  ({low_high[0]:.4f} to {low_high[1]:.4f})" if low_high else ""
            click.echo(f"{key:12} {document[key]:.4f}{interval}")
    if "interval_withheld_reason" in document:
        click.echo(f"no interval: {document['interval_withheld_reason']}")
    for rows, first, keys in (
        (document["classes"], "name", ("iou", "f1", "precision", "recall")),
        (document["places"], "place", ("accuracy", "mean_iou", "f1")),
    ):
        shown = [key for key in keys if any(row.get(key) is not None for row in rows)]
        table = _table(first.replace("name", "class"), *(f">{key}" for key in shown))
        for row in rows:
            table.add_row(row[first], *("" if row.get(key) is None else f"{row[key]:.4f}" for key in shown))
        _print(table)


def _pct(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console(markup=False)
    if not console.is_terminal:
        console = Console(markup=False, width=LOG_COLUMNS)
    console.print(table)
