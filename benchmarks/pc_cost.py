"""Cost of predictive coding: step and memory over backprop's at 4, 8 and 12 layers, monitoring, a step beside `pcx`'s.

    python benchmarks/pc_cost.py --peer PEER/bin/python --json FILE
    python benchmarks/pc_cost.py --parts monitoring

The bars of cost in one process, in less than six minutes of a core that nothing else uses. Passes are timed alone too:
what they add up to is the least that a step can cost. Losses are those after few steps; `predictive_coding.py` trains
longer, `pc_peer.py` says how to make the environment of the peer. Monitoring is timed by the processor, in turn with a
twin that is not watched.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import cast

import pc_peer
import predictive_coding
import torch
from measured import Measured, present
from predictive_coding import engine_of

from precisionflow.config import load
from precisionflow.config.learning import FixedPrecision, PredictiveCoding
from precisionflow.data.prepare import prepare
from precisionflow.inference.predictive_coding.energy import EnteredOnce
from precisionflow.inference.predictive_coding.laws import Stepped
from precisionflow.inference.predictive_coding.laws.assigned import laws
from precisionflow.models.likelihoods.objective import Objective
from precisionflow.models.networks.layered import Layered

DEPTHS = (4, 8, 12)
STEPS, STEPS_OF_DIGITS, PASSES = 30, 400, 20
TWINS = ("precision 1000", "one iteration", *predictive_coding.STEP_BARS)
"""The local gradient with 2 and 1 iterations, and all that a bar of the step is for."""

PARTS = ("peer", "passes", "twins", "monitoring")
WATCHED = ("precision 1000", "gradient of the energy, one iteration")
"""The default, and the cheapest step, over which a record costs most."""
EVERY, STEPS_OF_RECORDS, STEPS_A_RECORD = 50, 40, 5
"""Steps from one record to the next that the cost is told for; steps that are timed, and steps to a timed record."""
MOST_MONITORING = 1.05

PRECISION = 1000.0
CODING = PredictiveCoding(precision=FixedPrecision(value=PRECISION))


def passes(layers: int) -> list[Measured]:
    """Shortest times of F forward, A backward to states, W to weights, A' inside layers; what steps are made of.

    Without the first layer's share of F, which all passes of a step have in common.
    """
    experiment = load("quickstart-language", predictive_coding.common(layers, steps=STEPS))
    with tempfile.TemporaryDirectory() as folder:
        prepare([experiment], out=Path(folder))
        engine = engine_of(experiment, Path(folder))
        batch = engine.feed.batch(0)
    weights = [weight for weight in engine.network.parameters() if weight.requires_grad]
    network, objective = cast(Layered, engine.network), cast(Objective, engine.teacher.objective)
    made = laws(CODING, states=network.states)
    losses = objective.losses(progress=0.0)
    clamped = EnteredOnce(network, losses, batch.inputs, batch.target)
    forward, states, every, inside = [], [], [], []
    for _ in range(PASSES):
        start = time.perf_counter()
        passed = clamped.passed()
        forward.append(time.perf_counter() - start)
        start = time.perf_counter()
        slopes = torch.autograd.grad(passed.loss, passed.variables, retain_graph=True)
        states.append(time.perf_counter() - start)
        start = time.perf_counter()
        torch.autograd.grad(passed.loss, weights, retain_graph=True)
        every.append(time.perf_counter() - start)
        found = clamped.local([Stepped(-slope / PRECISION, -slope) for slope in slopes], made)
        start = time.perf_counter()
        torch.autograd.grad(found.surrogate, weights, retain_graph=True)
        inside.append(time.perf_counter() - start)
    f, a, aw, inside_w = (min(times) for times in (forward, states, every, inside))
    backprop = f + aw
    return [
        *(
            Measured(f"{layers} layers, {name}", 1000 * of, "ms")
            for name, of in (("F", f), ("A", a), ("W", aw - a), ("A' + W", inside_w))
        ),
        Measured(f"{layers} layers, 2 F + A + A' + W over F + A + W", (2 * f + a + inside_w) / backprop, "1"),
        Measured(f"{layers} layers, 2 F + 2 A + W over F + A + W", (2 * f + a + aw) / backprop, "1"),
    ]


def monitoring(layers: int, name: str) -> list[Measured]:
    """Seconds of the processor: a record over a step, and steps with a record every `EVERY` over those without any.

    Steps are those of a twin that is not watched, in turn with it: records leave them the caches as they were.
    """
    shared = predictive_coding.common(layers, steps=STEPS_OF_RECORDS)
    settings = [*shared, "learning.kind=predictive_coding", *predictive_coding.TWINS[name]]
    experiment = load("quickstart-language", settings)
    with tempfile.TemporaryDirectory() as folder:
        prepare([experiment], out=Path(folder))
        plain, watched = (engine_of(experiment, Path(folder)) for _ in range(2))
    steps, records = [], []
    for step in range(STEPS_OF_RECORDS):
        start = time.process_time()
        plain.step(plain.feed.batch(step), step)
        steps.append(time.process_time() - start)
        watched.step(watched.feed.batch(step), step)
        if step % STEPS_A_RECORD == 0:
            start = time.process_time()
            watched.monitored(step + 1), watched.attended(step + 1)
            records.append(time.process_time() - start)
    ratio = statistics.median(records) / statistics.median(steps)
    of = f"{layers} layers, {name}"
    return [
        Measured(f"{of}, a record over a step", ratio, "1"),
        Measured(f"{of}, a record every {EVERY} steps over none", 1 + ratio / EVERY, "1", MOST_MONITORING),
    ]


def main() -> None:
    """Measure what is asked for, all by default."""
    parser = pc_peer.peer_arguments(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = pc_peer.compared(STEPS_OF_DIGITS, given.peer) if "peer" in given.parts else []
    for layers in DEPTHS:
        if "passes" in given.parts:
            results += passes(layers)
        if "twins" in given.parts:
            results += predictive_coding.compared(layers, steps=STEPS, names=TWINS)
        if "monitoring" in given.parts:
            results += [row for name in WATCHED for row in monitoring(layers, name)]
    present(results, given.json)


if __name__ == "__main__":
    main()
