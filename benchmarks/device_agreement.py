"""One lesson on a GPU against the same lesson on the CPU: loss and gradients, in float32 and in bfloat16.

Networks of every kind, ways of learning, potentials, priors and values of attention: what a device computes wrongly, or
not at all, is seen here. Weights and batch are those of the CPU. Without a GPU it says that nothing was run.
"""

import contextlib
import json
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from measured import Measured, arguments, present
from torch import Tensor

from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

PLAIN = ("engine.kind=torch",)
CODING = "learning.kind=predictive_coding"
POTENTIALS = (
    "dot_product",
    "gaussian_isotropic",
    "gaussian_per_key",
    "gaussian_per_query",
    "gaussian_separable",
    "gaussian_mixture",
    "student_t_isotropic",
    "laplace_elliptical",
    "laplace_by_channel",
    "pair_precision",
)
LESSONS: dict[str, dict[str, Sequence[str]]] = {
    "quickstart-language": {
        "backprop": (),
        "predictive coding": (CODING,),
        "predictive coding, gradient of the energy, learned precision": (
            CODING,
            "learning.gradient=energy",
            "learning.precision.kind=learned",
        ),
        "predictive coding, precision per head": (
            CODING,
            "learning.precision={kind: learned, per: head}",
        ),
        "predictive coding, incremental": (CODING, "learning.settles=incremental"),
        **{name: (f"model.attention.potential.kind={name}",) for name in POTENTIALS[1:]},
        "relative prior": (
            "model.attention.prior={kind: product, of: [{kind: causal}, {kind: relative, largest: 8}]}",
        ),
        "decay": ("model.attention.prior={kind: product, of: [{kind: causal}, {kind: decay}]}",),
        "window": ("model.attention.prior={kind: window, before: 8, after: 0}",),
        "geometric prior": ("model.attention.prior={kind: geometric, alpha: 1.0, beta: 8.0}",),
        "two hops": ("model.attention.value={kind: multihop, hops: 2}",),
        "context of 256": ("task.context=256",),
    },
    "quickstart-regression": {"mean and variance": ()},
    "digits": {"classes of rows": ()},
    "pc-digits": {"generative network": ()},
    "allocation": {
        "allocated tokens": (),
        "refinement": ("model.allocation={kind: refine, threshold: 300.0}",),
    },
    "slots": {"slots": ()},
    "cueing": {"cues": ()},
    "coloured-noise": {"filter": ()},
}
"""Lessons by their shipped experiment."""
BARS = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest error of all gradients together, over their norm; on the CPU they are those of float32."""


WARM = 20
"""Steps on the CPU before the lesson: some networks begin with zeros, which hide gradients behind them."""


class Lesson(NamedTuple):
    """What one batch taught, on the CPU."""

    loss: float
    gradients: dict[str, Tensor]
    seconds: float


def engine_of(experiment: Experiment, data: Path, device: torch.device) -> SingleNetwork:
    engine = Single(experiment, data, CellOf(0, 0)).open(Ranks(device=device), None)
    assert isinstance(engine, SingleNetwork)
    return engine


def warmed(experiment: Experiment, data: Path) -> dict[str, Tensor]:
    """Weights, and what teaches them, after some steps on the CPU."""
    engine = engine_of(experiment, data, torch.device("cpu"))
    for step in range(WARM):
        engine.step(engine.feed.batch(step), step)
    return engine.teacher.state_dict()


def lesson(experiment: Experiment, data: Path, device: torch.device, before: dict[str, Tensor]) -> Lesson:
    """Loss and gradients of a batch from the weights `before` and a new optimiser, and seconds of the next step.

    Gradients are those of the last of its optimiser's steps.
    """
    engine = engine_of(experiment, data, device)
    engine.teacher.load_state_dict(before)
    loss = float(engine.step(engine.feed.batch(WARM), WARM)[0])
    gradients = {
        name: of.grad.detach().double().cpu()
        for name, of in engine.teacher.named_parameters()
        if of.grad is not None
    }
    start = time.perf_counter()
    engine.step(engine.feed.batch(WARM), WARM + 1)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return Lesson(loss, gradients, time.perf_counter() - start)


def error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """|found - expected| / |expected| of all gradients together; NaN where one is not there or not finite."""
    if found.keys() != expected.keys():
        return float("nan")
    difference = sum(float((found[name] - of).square().sum()) for name, of in expected.items())
    return (difference / sum(float(of.square().sum()) for of in expected.values())) ** 0.5


def compared(name: str, settings: dict[str, Sequence[str]], folder: Path) -> Iterator[Measured]:
    """Every lesson of one experiment."""
    for what, of in settings.items():
        try:
            shared = [*PLAIN, *of]
            on_cpu = load(name, [*shared, "engine.device=cpu"])
            prepare([on_cpu], out=folder)
            before = warmed(on_cpu, folder)
            expected = lesson(on_cpu, folder, torch.device("cpu"), before)
            yield Measured(f"{what}, float32 on the CPU: seconds of a step", expected.seconds, "s")
        except Exception as fault:
            yield _failed(f"{what}: on the CPU", fault)
            continue
        for dtype, bar in BARS.items():
            kind = str(dtype).removeprefix("torch.")
            try:
                experiment = load(name, [*shared, "engine.device=cuda", f"engine.dtype={kind}"])
            except ValueError as fault:
                print(f"{what}, {kind}: refused: {fault}", flush=True)
                continue
            try:
                found = lesson(experiment, folder, torch.device("cuda"), before)
            except Exception as fault:
                yield _failed(f"{what}, {kind}", fault)
                continue
            yield Measured(
                f"{what}, {kind}: error of gradients", error(found.gradients, expected.gradients), "1", bar
            )
            yield Measured(
                f"{what}, {kind}: error of the loss",
                abs(found.loss - expected.loss) / abs(expected.loss),
                "1",
                bar,
            )
            yield Measured(f"{what}, {kind}: seconds of a step", found.seconds, "s")


def _failed(what: str, fault: Exception) -> Measured:
    traceback.print_exception(fault, limit=-4)
    return Measured(
        f"{what}, failed: {type(fault).__name__}: {' '.join(str(fault).split())[:160]}",
        float("nan"),
        "1",
        0.0,
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="*", choices=LESSONS, default=list(LESSONS), help="experiments")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        present([Measured("no GPU: not run", 0.0, "1")], given.json)
        return
    results: list[Measured] = []
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            for result in compared(name, LESSONS[name], Path(folder)):
                results.append(result)
                print(f"{name}: {result.measure}: {result.value:.3g}", flush=True)
                if given.json:
                    given.json.write_text(
                        json.dumps([asdict(one) for one in results], indent=1) + "\n", encoding="utf-8"
                    )
    with contextlib.suppress(OSError):
        present(results, given.json)


if __name__ == "__main__":
    main()
