"""Tables of single classes: their scores, and which are taken for which."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASSES, CONFUSIONS
from precisionflow.report import digits
from precisionflow.report.tables import Entry, Table
from precisionflow.results.layout import EvaluatedCell

MOST_CLASSES = 60
"""Classes that a table shows, those with most targets."""
MOST_PAIRS = 10


def class_tables(variant: str, folders: Sequence[Path]) -> list[Table]:
    """Scores of the classes of a variant, means over its cells, and its commonest errors; none without the files."""
    files = [EvaluatedCell(folder) for folder in folders]
    if not files or not all(cell.classes.is_file() for cell in files):
        return []
    of: dict[str, list[dict[str, float]]] = defaultdict(list)
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    for cell in files:
        for row in read_parquet(cell.classes, CLASSES).to_pylist():
            of[row["class"]].append(row)
        for row in read_parquet(cell.confusions, CONFUSIONS).to_pylist():
            pairs[row["target"], row["predicted"]] += row["n"]
    return [_scores(variant, of), _confusions(variant, pairs)] if pairs else [_scores(variant, of)]


def _scores(variant: str, of: dict[str, list[dict[str, float]]]) -> Table:
    def mean(rows: Sequence[dict[str, float]], name: str) -> float:
        return float(np.mean([row[name] for row in rows]))

    shown = sorted(of, key=lambda name: -mean(of[name], "n"))[:MOST_CLASSES]
    more = f", the {MOST_CLASSES} of {len(of)} with most targets" if len(shown) < len(of) else ""
    body = []
    for name in shown:
        rows = of[name]
        band = digits.span(mean(rows, "chance_low"), mean(rows, "chance_high"))
        words = (
            f"{mean(rows, 'n'):,.0f}",
            *(f"{mean(rows, key):.3f}" for key in ("accuracy", "f1", "confidence")),
        )
        body.append((Entry(name), *map(Entry, words), Entry(f"{mean(rows, 'ece'):.4f}", f"by chance {band}")))
    headings = (
        Entry("class"),
        Entry("n", "targets"),
        Entry("accuracy", "of its targets"),
        Entry("F1"),
        Entry("confidence", "on its targets"),
        Entry("ece", "of its probability"),
    )
    return Table(f"Classes of {variant}{more}", headings, tuple(body))


def _confusions(variant: str, pairs: dict[tuple[str, str], int]) -> Table:
    shown = sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:MOST_PAIRS]
    wrong = sum(pairs.values())
    body = tuple(
        (
            Entry(target),
            Entry(predicted),
            Entry(f"{pairs[target, predicted]:,}", f"{pairs[target, predicted] / wrong:.1%}"),
        )
        for target, predicted in shown
    )
    headings = (Entry("class"), Entry("taken for"), Entry("n", "share of all errors"))
    return Table(f"Commonest errors of {variant}, all cells", headings, body)
