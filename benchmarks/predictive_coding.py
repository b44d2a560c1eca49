"""Predictive coding against its backprop twin: validation loss after the same steps, seconds and memory of a step.

The twins take turns in one process, so that a busy machine slows both.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch.profiler import ProfilerActivity, profile

from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare
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


def engine_of(experiment: Experiment, data: Path) -> SingleNetwork:
    engine = Single(experiment, data, CellOf(0, 0)).open(Ranks(), None)
    assert isinstance(engine, SingleNetwork)
    return engine


def peak_bytes(engine: SingleNetwork, step: int) -> int:
    """Most bytes that one step holds beside weights and the optimiser's state."""
    batch = engine.feed.batch(step)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        engine.step(batch, step)
    changes = [of for of in seen.profiler.kineto_results.events() if of.name() == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda of: of.start_ns()):
        held += change.nbytes()
        peak = max(peak, held)
    return peak


def common(layers: int, *, steps: int) -> list[str]:
    """Settings of all twins; a block is a layer of attention and one of feed-forward."""
    return [
        "engine.kind=torch",
        "engine.device=cpu",
        f"training.steps={steps}",
        f"model.blocks={layers // 2}",
    ]


def compared(layers: int, *, steps: int, names: Sequence[str]) -> list[Measured]:
    """Train backprop and its twins in turn, step by step."""
    shared = common(layers, steps=steps)
    twins = {"backprop": load("quickstart-language", shared)}
    for name in names:
        twins[name] = load("quickstart-language", [*shared, "learning.kind=predictive_coding", *TWINS[name]])
    with tempfile.TemporaryDirectory() as folder:
        prepare([twins["backprop"]], out=Path(folder))
        engines = {name: engine_of(experiment, Path(folder)) for name, experiment in twins.items()}
        spent: dict[str, list[float]] = {name: [] for name in twins}
        for step in range(steps):
            for name, engine in engines.items():
                start = time.perf_counter()
                engine.step(engine.feed.batch(step), step)
                spent[name].append(time.perf_counter() - start)
        loss = {name: engine.validation_loss() for name, engine in engines.items()}
        memory = {name: float(peak_bytes(engine, steps)) for name, engine in engines.items()}
    step_time = {name: statistics.median(times) for name, times in spent.items()}
    results = [
        Measured(f"{layers} layers, backprop, {what}", values["backprop"] * scale, unit)
        for what, values, scale, unit in (
            ("validation loss", loss, 1, "nats"),
            ("step", step_time, 1e3, "ms"),
            ("memory of a step", memory, 1e-6, "MB"),
        )
    ]
    for name in names:
        for what, values, bar in (
            ("validation loss", loss, LOSS_BARS.get(name)),
            ("step", step_time, STEP_BARS.get(name)),
            ("memory of a step", memory, MOST_MEMORY),
        ):
            ratio = values[name] / values["backprop"]
            results.append(Measured(f"{layers} layers, {name}, {what} over backprop", ratio, "1", bar))
    return results


def main() -> None:
    """Compare the twins at every depth."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--layers", type=int, nargs="+", default=[4, 8, 12], help="behind the embedding, even"
    )
    parser.add_argument("--twins", nargs="+", choices=TWINS, default=list(TWINS), help="all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = [of for layers in given.layers for of in compared(layers, steps=given.steps, names=given.twins)]
    present(results, given.json)


if __name__ == "__main__":
    main()
