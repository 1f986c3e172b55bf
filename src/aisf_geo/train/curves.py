"""Loss and validation figures of a training as a picture."""

from __future__ import annotations

from pathlib import Path


def draw_curves(log: list[dict[str, float]], path: Path) -> None:
    """A PNG with the loss on the left and the mean IoU of each head on its validation places on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    losses = [(row["step"], row["loss"]) for row in log if "loss" in row]
    left.plot(*zip(*losses, strict=True), color="#335577", linewidth=1) if losses else None
    left.set(title="loss on training crops", xlabel="step")
    judged = [row for row in log if "score" in row]
    for name in sorted({key for row in judged for key in row} - {"step"}):
        if not name.endswith("_accuracy"):
            right.plot([row["step"] for row in judged], [row[name] for row in judged], marker="o", label=name)
    right.set(title="validation places", xlabel="step", ylim=(0, 1))
    if judged:
        right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100, metadata={"Software": None})
