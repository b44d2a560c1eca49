"""Predictive coding against its backprop twin: validation loss after the same steps, seconds and memory of a step.

The twins take turns in one process, so that a busy machine slows both. A twin whose settling raises the energy, or
whose loss is not finite, has diverged: a row says of how many seeds, and its other rows are of the seeds left.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from held import peak_bytes
from measured import Measured, arguments, present, with_interval

from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare
from precisionflow.inference.predictive_coding.settle import Unsettled
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

ENERGY = "learning.gradient=energy"
LEARNED = "learning.precision.kind=learned"
TWINS = {
    **{f"precision {p}": (f"learning.precision.value={p}",) for p in (10, 100, 1000, 10000)},
    "one iteration": ("learning.iterations=1",),
    "learned precision": (LEARNED,),
    "gradient of the energy": (ENERGY,),
    "gradient of the energy, one iteration": (ENERGY, "learning.iterations=1"),
    "gradient of the energy, learned precision": (ENERGY, LEARNED),
    "one iteration, learned precision": ("learning.iterations=1", LEARNED),
}
STEP_BARS = {
    "gradient of the energy": 2.0,
    "gradient of the energy, one iteration": 1.4,
    "gradient of the energy, learned precision": 2.0,
    "one iteration, learned precision": 1.4,
}
LOSS_BARS = {"precision 1000": 1.02, "learned precision": 1.01, **dict.fromkeys(STEP_BARS, 1.01)}
MOST_MEMORY = 1.5


def engine_of(experiment: Experiment, data: Path, *, seed: int = 0) -> SingleNetwork:
    engine = Single(experiment, data, CellOf(seed, 0)).open(Ranks(), None)
    assert isinstance(engine, SingleNetwork)
    return engine


def common(layers: int, *, steps: int) -> list[str]:
    """Settings of all twins; a block is a layer of attention and one of feed-forward."""
    return [
        "engine.kind=torch",
        "engine.device=cpu",
        f"training.steps={steps}",
        f"model.blocks={layers // 2}",
    ]


@dataclass
class Twin:
    """What one way of learning came to with one seed."""

    engine: SingleNetwork
    seconds: list[float] = field(default_factory=list)
    """Of each step."""
    diverged: bool = False
    loss: float = math.nan
    memory: float = math.nan
    """Bytes of a step."""
    precision: tuple[float, float] | None = None
    """Lowest and highest of the layers."""
    cosine: float = math.nan
    """Between what the weights learn from and backprop's gradient, after the last step."""

    def step(self, step: int) -> None:
        """Learn from one batch; from none after the energy rose."""
        if self.diverged:
            return
        start = time.perf_counter()
        try:
            self.engine.step(self.engine.feed.batch(step), step)
        except Unsettled:
            self.diverged = True
            return
        self.seconds.append(time.perf_counter() - start)

    def finish(self, step: int) -> None:
        """Measure what the steps before this one led to."""
        if self.diverged:
            return
        self.loss = self.engine.validation_loss()
        self.diverged = not math.isfinite(self.loss)
        for seen in self.engine.monitored(step):
            self.cosine = seen.cosine
            precisions = [of for layer in seen.layers for of in layer.precision]
            self.precision = min(precisions), max(precisions)
        batch = self.engine.feed.batch(step)
        self.memory = float(peak_bytes(partial(self.engine.step, batch, step)))


def trained(experiments: dict[str, Experiment], data: Path, *, steps: int, seed: int) -> dict[str, Twin]:
    """Train the twins in turn, step by step."""
    twins = {name: Twin(engine_of(of, data, seed=seed)) for name, of in experiments.items()}
    for step in range(steps):
        for twin in twins.values():
            twin.step(step)
    for twin in twins.values():
        twin.finish(steps)
    return twins


def compared(layers: int, *, steps: int, names: Sequence[str], seeds: int = 1) -> list[Measured]:
    """Train backprop and its twins, as many seeds of each."""
    shared = common(layers, steps=steps)
    experiments = {"backprop": load("quickstart-language", shared)}
    for name in names:
        settings = [*shared, "learning.kind=predictive_coding", *TWINS[name]]
        experiments[name] = load("quickstart-language", settings)
    with tempfile.TemporaryDirectory() as folder:
        prepare([experiments["backprop"]], out=Path(folder))
        found = [trained(experiments, Path(folder), steps=steps, seed=seed) for seed in range(seeds)]
    plain = [of["backprop"] for of in found]
    results = [
        Measured(f"{layers} layers, backprop, {what}", statistics.mean(values), unit)
        for what, values, unit in (
            ("validation loss", [of.loss for of in plain], "nats"),
            ("step", [1e3 * statistics.median(of.seconds) for of in plain], "ms"),
            ("memory of a step", [1e-6 * of.memory for of in plain], "MB"),
        )
    ]
    for name in names:
        pairs = [(of[name], of["backprop"]) for of in found]
        results += rows(f"{layers} layers, {name}", name, pairs)
    return results


def rows(title: str, name: str, pairs: Sequence[tuple[Twin, Twin]]) -> list[Measured]:
    """What is measured of one twin, each seed beside backprop's."""
    left = [(twin, plain) for twin, plain in pairs if not twin.diverged]
    bar = LOSS_BARS.get(name)
    diverged = Measured(f"{title}, diverged of {len(pairs)}", len(pairs) - len(left), "seeds", bar and 0)
    if not left:
        return [diverged]
    loss = [twin.loss / plain.loss for twin, plain in left]
    step = [statistics.median(twin.seconds) / statistics.median(plain.seconds) for twin, plain in left]
    memory = [twin.memory / plain.memory for twin, plain in left]
    precisions = [twin.precision for twin, _ in left if twin.precision]
    return [
        diverged,
        *with_interval(f"{title}, validation loss over backprop", loss, "1", bar=bar),
        Measured(f"{title}, step over backprop", statistics.mean(step), "1", STEP_BARS.get(name)),
        Measured(f"{title}, memory of a step over backprop", statistics.mean(memory), "1", MOST_MEMORY),
        Measured(f"{title}, cosine with backprop", statistics.mean(twin.cosine for twin, _ in left), "1"),
        Measured(f"{title}, lowest precision of a layer", min(low for low, _ in precisions), "1"),
        Measured(f"{title}, highest precision of a layer", max(high for _, high in precisions), "1"),
    ]


def main() -> None:
    """Compare the twins at every depth."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--layers", type=int, nargs="+", default=[4, 8, 12], help="behind the embedding, even"
    )
    parser.add_argument("--twins", nargs="+", choices=TWINS, default=list(TWINS), help="all by default")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for layers in given.layers:
        results += compared(layers, steps=given.steps, names=given.twins, seeds=given.seeds)
    present(results, given.json)


if __name__ == "__main__":
    main()
