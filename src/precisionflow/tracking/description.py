"""Description of an experiment's run in Markdown: the question, the answer, the headline scores."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from precisionflow.ablation.aggregate import by_dataset, read_aggregate
from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import Variant, unit_of
from precisionflow.config import Experiment
from precisionflow.report import tables, wording
from precisionflow.report.forms import markdown
from precisionflow.report.wording import Row

LONGEST = 7500
"""Characters of a tag that MLflow takes, with some to spare."""


def summary_of(whole: Experiment, *, aggregate: Path) -> str:
    """Its name, and what `described` says, of an experiment in an aggregate."""
    results = read_aggregate(aggregate)
    scores, contrasts = (
        [row for row in table.to_pylist() if row["experiment"] == whole.name]
        for table in (results.table, results.contrasts)
    )
    return f"# {whole.name}\n\n{described(whole, scores=scores, contrasts=contrasts)}"


def described(whole: Experiment, *, scores: Sequence[Row], contrasts: Sequence[Row]) -> str:
    """Question, then of every data set the tally, the headline table and the contrasts.

    Lines that are too many for MLflow are left out from the end, and the page is named.
    """
    lines = [whole.question, ""] if whole.question else []
    for dataset, variants in by_dataset(whole).items():
        lines += _of_dataset(
            whole,
            variants,
            scores=tables.select(scores, whole, dataset),
            contrasts=tables.select(contrasts, whole, dataset),
        )
    return _cut(lines)


def _of_dataset(
    whole: Experiment, variants: Sequence[Variant], *, scores: Sequence[Row], contrasts: Sequence[Row]
) -> Iterator[str]:
    metrics, names = [metric.name for metric in contrasted(whole)], [variant.name for variant in variants]
    if contrasts:
        yield f"**{variants[0].dataset}**: {wording.tally(contrasts)}"
        yield ""
    caption = f"Mean ± half of the {wording.interval_name(whole.ablation.confidence)}, n {unit_of(whole)}s"
    best = tables.proven_bests(contrasts, names, metrics)
    yield markdown(tables.score_table(scores, metrics, caption=caption, best=best))
    if contrasts:
        levels = {variant.name: variant.levels for variant in variants}
        table = tables.contrast_table(contrasts, levels, caption=f"Contrasts on {variants[0].dataset}")
        yield markdown(table)


def _cut(lines: Sequence[str]) -> str:
    whole = "\n".join(lines).strip()
    if len(whole) <= LONGEST:
        return whole
    kept = whole[:LONGEST].rpartition("\n")[0].strip()
    return f"{kept}\n\nAll of it: report/report.html among the artifacts."
