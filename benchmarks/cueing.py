"""Cueing: what a valid cue is worth and an invalid one costs, by delay, of networks and of the exact observer.

`precisionflow run cueing`, then the same test trials again, which are told apart by their cue. Benefit: nats of neutral
less those of valid cues. Cost: nats of invalid less those of neutral cues. Intervals are Student's t over the seeds, at
95 %.
"""

import tempfile
from pathlib import Path

import numpy as np
from measured import Measured, present, run_experiment, running_arguments, with_interval

from precisionflow.ablation.design import Variant, expand
from precisionflow.config import load
from precisionflow.config.synthetic import Cueing
from precisionflow.config.tasks import Synthetic
from precisionflow.data.sources.synthetic.cueing import Trials, draw_trials, log_posterior
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import CLASS_PREDICTIONS
from precisionflow.results.layout import PARTS, Results, cell_folder

DELAYS = {"0": (0, 0), "1 or 2": (1, 2), "3 to 5": (3, 5), "6 to 8": (6, 8)}
EXCESS, FAITHFUL = 0.02, 0.05
"""Bars in nats: above the optimum, and between an effect and the exact observer's."""


def test_trials(task: Synthetic) -> tuple[Cueing, Trials]:
    """The trials that `prepare` made the test part of."""
    assert isinstance(task.source, Cueing)
    random = np.random.default_rng([task.source.seed, 2, PARTS.index("test")])
    return task.source, draw_trials(task.source, task.test, random)


def effects(nats: np.ndarray, source: Cueing, trials: Trials) -> dict[str, float]:
    """Benefit and cost at every group of delays."""
    named = trials.cue < source.places
    valid = named & (trials.cue == trials.place)
    found = {}
    for name, (first, last) in DELAYS.items():
        here = (trials.delay >= first) & (trials.delay <= last)
        neutral = nats[here & ~named].mean()
        found[f"benefit of a valid cue, delay {name}"] = neutral - nats[here & valid].mean()
        found[f"cost of an invalid cue, delay {name}"] = nats[here & named & ~valid].mean() - neutral
    return found


def nats_of(variant: Variant, results: Results, seed: int) -> np.ndarray:
    """-log p(target) of every test trial."""
    cell = cell_folder(results.evaluation(variant.experiment), seed, 0)
    rows = read_parquet(cell / "predictions.parquet", CLASS_PREDICTIONS)
    return -rows["log_probability"].to_numpy()[rows["row"].to_numpy().argsort()]


def main() -> None:
    """Run the experiment and tell the trials apart."""
    given = running_arguments(__doc__).parse_args()
    experiment = load("cueing", given.settings)
    assert isinstance(experiment.task, Synthetic)
    source, trials = test_trials(experiment.task)
    optimum = -log_posterior(source, trials)[np.arange(len(trials.target)), trials.target]
    exact = effects(optimum, source, trials)
    with tempfile.TemporaryDirectory() as temporary:
        target = given.out or Path(temporary)
        minutes = run_experiment("cueing", target, settings=given.settings)
        found = [Measured(f"exact observer, {name}", value, "nats") for name, value in exact.items()]
        for variant in expand(experiment):
            each = [nats_of(variant, Results(target), seed) for seed in experiment.seeds]
            found += with_interval(
                f"{variant.name}, above the optimum",
                [float((nats - optimum).mean()) for nats in each],
                "nats",
                bar=EXCESS,
            )
            measured = [effects(nats, source, trials) for nats in each]
            for name in exact:
                found += with_interval(f"{variant.name}, {name}", [of[name] for of in measured], "nats")
            apart = [max(abs(of[name] - exact[name]) for name in exact) for of in measured]
            found += with_interval(
                f"{variant.name}, largest distance of an effect", apart, "nats", bar=FAITHFUL
            )
    present([*found, Measured("wall time", minutes, "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
