"""Figure of a fit: the predicted distribution along the only feature of a table."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from precisionflow.report.drawn import Drawn, Numbers
from precisionflow.report.svg import INK, MUTED, canvas, stroke

Z95 = 1.959964
"""Half the width of a Gaussian's central 95 % interval, in std."""


def fit_along_feature(
    variant: str,
    curve: pa.Table,
    index: int,
    *,
    truth: Callable[..., tuple[np.ndarray, ...]] | None,
    name: str,
) -> Drawn:
    """Mean and intervals along the only feature, with the test rows; `truth` maps x to the true (mean, std)."""
    c = {column: curve[column].to_numpy() for column in curve.column_names}
    grid = np.isnan(c["target"])
    x = c["x"][grid]
    look = stroke(index)
    alt = (
        f"Fit of {variant}: mean, 50 and 95 % interval along the feature, with {int((~grid).sum())} test rows"
    )
    true_mean, true_std = truth(x) if truth is not None else (np.full(len(x), np.nan),) * 2
    true_ends = true_mean - Z95 * true_std, true_mean + Z95 * true_std
    with canvas(
        name, alt=alt, numbers=_numbers(c, grid, (true_mean, *true_ends)), width=320, height=260
    ) as drawing:
        axes = drawing.axes
        for level, opacity in (("95", 0.18), ("50", 0.3)):
            low, high = c[f"low_{level}"][grid], c[f"high_{level}"][grid]
            axes.fill_between(x, low, high, color=look.colour, alpha=opacity, linewidth=0)
        mean, epistemic = c["mean"][grid], c["epistemic"][grid]
        axes.plot(x, mean, color=look.colour)
        if epistemic.any():
            for end in (mean - epistemic, mean + epistemic):
                axes.plot(x, end, color=look.colour, linewidth=0.7)
        axes.plot(c["x"][~grid], c["target"][~grid], ".", color=INK, markersize=3, alpha=0.7)
        shown = [c["low_95"][grid], c["high_95"][grid]]
        if truth is not None:
            shown += true_ends
            for end in (true_mean, *true_ends):
                axes.plot(x, end, color=MUTED, linestyle="--", linewidth=0.9)
        axes.set_xlim(x.min(), x.max())
        axes.set_ylim(*_frame(c["target"][~grid], np.concatenate(shown)))
        drawing.title(f"fit, {variant}")
        axes.set_xlabel("feature")
        axes.set_ylabel("target")
    return drawing.drawn


def _numbers(c: Mapping[str, np.ndarray], grid: np.ndarray, true: Sequence[np.ndarray]) -> Numbers:
    """Along the feature, with the truth where it is known, and the test rows."""
    names = ("mean", "low_50", "high_50", "low_95", "high_95")
    both = c["mean"] - c["epistemic"], c["mean"] + c["epistemic"]
    headings = ("x", *(name.replace("_", " ") for name in names), "mean less epistemic", "mean and epistemic")
    of_truth = ("true mean", "true low 95", "true high 95")
    rows, none = c["x"][~grid], np.full((~grid).sum(), np.nan)
    along = (c["x"][grid], *(c[name][grid] for name in names), *(end[grid] for end in both), *true)
    return Numbers(
        (*headings, *of_truth, "target"),
        {
            "along the feature": (*along, c["target"][grid]),
            "test rows": (rows, *[none] * (len(along) - 1), c["target"][~grid]),
        },
    )


def _frame(target: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """Ends of the ordinate: what is shown, but at most twice the range of the targets beyond them."""
    span = np.ptp(target) or 1.0
    return (
        float(max(min(target.min(), shown.min()), target.min() - 2 * span) - 0.03 * span),
        float(min(max(target.max(), shown.max()), target.max() + 2 * span) + 0.03 * span),
    )
