"""Iterations that each way down the energy takes to settle: gradient, momentum, a curvature by layer or by channel.

Each at the step size of a few that suits it. Settled is what has lost all but 1 % of what the energy falls by. Of
linear maps whose last one is steep in a quarter of its channels, and of images of digits, before and after 100 steps
of learning. Counts, not times.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch import nn

from precisionflow.config import load
from precisionflow.config.learning import (
    Descent,
    FixedPrecision,
    Gradient,
    Momentum,
    PredictiveCoding,
    Secant,
)
from precisionflow.data.prepare import prepare
from precisionflow.inference.predictive_coding.energy import Clamped
from precisionflow.inference.predictive_coding.laws.assigned import Laws, laws
from precisionflow.inference.predictive_coding.settle import begun, settle
from precisionflow.models.networks.layered import Layered
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.generative import GenerativeLearner

DESCENTS: dict[str, Descent] = {
    "gradient": Gradient(),
    "momentum 0.5": Momentum(share=0.5),
    "momentum 0.9": Momentum(share=0.9),
    "secant by layer": Secant(),
    "secant by channel": Secant(per="channel"),
}
STEP_SIZES = (0.01, 0.03, 0.1, 0.3, 0.6, 1.0)
MOST, SHARE = 64, 0.01
"""Iterations that are tried, and what is left of the energy's fall where it counts as settled."""
STEPS = 100
"""Of training before the second time."""


def iterations(clamped: Clamped, made: Laws, config: PredictiveCoding) -> list[Measured]:
    """Of every descent the fewest iterations to the share, over step sizes; infinite where none gets there."""
    energies: dict[str, list[torch.Tensor]] = {}
    for name, descent in DESCENTS.items():
        for size in STEP_SIZES:
            tried = config.model_copy(
                update={"descent": descent, "step_size": size, "iterations": MOST, "tolerance": 0.0}
            )
            with torch.enable_grad():
                start = begun(clamped, tried, made).start
            found = settle(clamped, start, made, config=tried, steps=MOST, watched=True)
            energies.setdefault(name, []).append(torch.stack(found.energies).double())
    lowest = min(float(of.nan_to_num(nan=torch.inf).min()) for each in energies.values() for of in each)
    rows = []
    for name, each in energies.items():
        count, size = min(_first(of, lowest, size) for of, size in zip(each, STEP_SIZES, strict=True))
        rows.append(Measured(f"{name}, step size {size:g}", count, "iterations"))
    return rows


def _first(energies: torch.Tensor, lowest: float, size: float) -> tuple[float, float]:
    """The first iteration from which the energy stays below the share, and the step size."""
    above = ~(energies - lowest <= SHARE * (energies[0] - lowest))
    last = int(above.nonzero().max()) if above.any() else -1
    return (float("inf") if last == len(energies) - 1 else float(last + 1)), size


def linear() -> list[Measured]:
    """Three maps to a readout whose rows are of unlike steepness."""
    torch.manual_seed(0)
    maps = [nn.Linear(a, b, bias=False).double() for a, b in ((8, 16), (16, 16), (16, 16), (16, 4))]
    with torch.no_grad():
        maps[-1].weight[:, ::4] *= 8
    model = Layered(maps[:-1], maps[-1], states=[(16,)] * 3)
    inputs, target = torch.randn(32, 8).double(), torch.randn(32, 4).double()
    config = PredictiveCoding(precision=FixedPrecision(value=3.0))

    def squared_error(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return 0.5 * (output - target).square().sum(-1)

    return _named(
        "linear maps",
        iterations(Clamped(model, squared_error, inputs, target), laws(config, states=model.states), config),
    )


def trained(
    name: str, settings: list[str], settled: Callable[[SingleNetwork], list[Measured]]
) -> list[Measured]:
    """The network of an experiment before and after `STEPS` steps."""
    experiment = load(name, settings)
    with tempfile.TemporaryDirectory() as folder:
        prepare([experiment], out=Path(folder))
        engine = Single(experiment, Path(folder), CellOf(0, 0)).open(Ranks(), None)
        assert isinstance(engine, SingleNetwork)
        found = _named("before training", settled(engine))
        for step in range(STEPS):
            engine.step(engine.feed.batch(step), step)
        return _named(name, [*found, *_named(f"after {STEPS} steps", settled(engine))])


def of_images(engine: SingleNetwork) -> list[Measured]:
    teacher, batch = engine.teacher, engine.feed.batch(STEPS)
    assert isinstance(teacher, GenerativeLearner)
    model = teacher.model
    return iterations(model.clamped(batch.target, batch.inputs), model.laws, model.learning)


def _named(where: str, rows: list[Measured]) -> list[Measured]:
    return [Measured(f"{where}, {row.measure}", row.value, row.unit) for row in rows]


def main() -> None:
    """Count and print."""
    given = arguments(__doc__).parse_args()
    found = linear()
    digits = [f"training.steps={STEPS}", "learning.iterations=16"]
    found += trained("pc-generative-depth", digits, of_images)
    present(found, given.json)


if __name__ == "__main__":
    main()
