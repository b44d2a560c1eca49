"""Time and memory of the statistics of a million measured numbers, beside plain pandas: figures of docs/statistics.md.

25 data sets x 20 variants x 20 seeds with 100 metrics each: the tables of the aggregate stage from numbers that are
read already, 10,000 bootstrap draws for every contrast, interquartile mean and profile. The plain loop selects the rows
of each mean and each contrast by their columns and draws one resample after another; it is timed on a share of both
and multiplied. Seconds are those of the processor, so that others on the machine do not count.

    python benchmarks/statistics_speed.py --json runs/benchmarks/statistics_speed.json     # a minute on one core
"""

import resource
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from measured import Measured as Line
from measured import arguments, present
from scipy import stats

from precisionflow.ablation.aggregate import tables_of
from precisionflow.ablation.bootstrap import DRAWS
from precisionflow.ablation.design import expand
from precisionflow.ablation.measured import Measured, Scores, cells_of
from precisionflow.config import Experiment, parse

SETS, VARIANTS, SEEDS, METRICS = 25, 20, 20, 100
HEADLINE = ("nll", "crps", "rmse")
MEANS, CONTRASTS = 40, 2
"""Of the plain loop, as many as are timed."""


def experiment() -> Experiment:
    levels = "".join(f"      w{k}: {{model.hidden: [{k + 1}]}}\n" for k in range(VARIANTS))
    sets = "".join(f"    set{k}: {{task.source.path: set{k}}}\n" for k in range(SETS))
    return parse(
        "name: speed\ntask: {kind: regression, source: {kind: uci_folder, path: set0}}\n"
        "model: {kind: mlp}\nobjective: {kind: gaussian_nll}\n"
        f"seeds: {list(range(SEEDS))}\nablation:\n  datasets:\n{sets}  axes:\n    width:\n{levels}"
    )


def measured(of: Experiment) -> Measured:
    """A million numbers above 0."""
    generator = np.random.default_rng(0)
    names = [*HEADLINE, *(f"width_{k}" for k in range(1, METRICS - len(HEADLINE) + 1))]
    nothing = dict.fromkeys(names, np.empty(0))
    return {
        cell: Scores(
            dict(zip(names, generator.gamma(20, 0.05, METRICS).tolist(), strict=True)), 44, 398, "", nothing
        )
        for variant in expand(of)
        for (cell,) in cells_of(variant, of)
    }


def peak() -> float:
    """GiB of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plain(frame: pd.DataFrame) -> float:
    """Seconds that the loop of means and contrasts takes, from a share of it."""
    sets, variants, metrics = (frame[name].unique() for name in ("dataset", "variant", "metric"))

    def values(dataset: str, variant: str, metric: str) -> np.ndarray:
        mask = (frame.dataset == dataset) & (frame.variant == variant) & (frame.metric == metric)
        return frame[mask].sort_values("seed")["value"].to_numpy()

    start = time.process_time()
    for metric in metrics[:MEANS]:
        found = values(sets[0], variants[0], metric)
        stats.t.interval(0.95, SEEDS - 1, found.mean(), stats.sem(found))
    each = (time.process_time() - start) / MEANS
    generator, start = np.random.default_rng(0), time.process_time()
    for variant in variants[1 : 1 + CONTRASTS]:
        difference = values(sets[0], variant, metrics[0]) - values(sets[0], variants[0], metrics[0])
        stats.ttest_1samp(difference, 0)
        np.quantile([generator.choice(difference, SEEDS).mean() for _ in range(DRAWS)], [0.025, 0.975])
    contrast = (time.process_time() - start) / CONTRASTS
    return SETS * (VARIANTS * METRICS * each + (VARIANTS - 1) * len(HEADLINE) * contrast)


def lines() -> Iterator[Line]:
    of = experiment()
    numbers = measured(of)
    before, start = peak(), time.process_time()
    tables = tables_of([of], numbers, {})
    seconds = time.process_time() - start
    yield Line("statistics of 10^6 numbers, 10^4 draws", seconds, "s", 10)
    yield Line("peak memory of the process", peak(), "GiB", 1)
    yield Line("  before the statistics", before, "GiB")
    yield Line("rows of all tables", sum(table.num_rows for table in tables), "rows")
    frame = pd.DataFrame(
        [
            (cell.dataset, cell.variant, cell.seed, metric, value)
            for cell, scores in numbers.items()
            for metric, value in scores.values.items()
        ],
        columns=["dataset", "variant", "seed", "metric", "value"],
    )
    slow = plain(frame)
    yield Line("the same means and contrasts by a plain pandas loop", slow, "s")
    yield Line("share of the loop's time", 100 * seconds / slow, "%", 2)


def main() -> None:
    present([*lines()], arguments(__doc__).parse_args().json)


if __name__ == "__main__":
    main()
