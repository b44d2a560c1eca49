"""An MLP that `pcx` teaches by predictive coding, in an environment that has it: pcx_digits.py DATA.npz SETTINGS.json.

DATA holds standardised train and test features with their classes. Printed is {accuracy, step_ms} as JSON: accuracy
of the test rows after the last step, median processor milliseconds of a weight update without the first ones, which
compile.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import jax
import numpy as np
import optax
import pcx
from pcx import functional, nn, utils
from pcx.predictive_coding import STATUS, EnergyModule, Vode, VodeParam, ce_energy

UNTIMED = 20


class Digits(EnergyModule):
    """Linear maps with an activation between, a value node behind each; the last one is the class."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.maps = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.nodes = [Vode() for _ in widths[2:]] + [Vode(ce_energy)]
        self.nodes[-1].h.frozen = True

    def __call__(self, x: Any, y: Any) -> Any:
        for node, linear in zip(self.nodes[:-1], self.maps[:-1], strict=True):
            x = node(jax.nn.silu(linear(x)))
        logits = self.nodes[-1](self.maps[-1](x), output="u")
        if y is not None:
            self.nodes[-1].set("h", y)
        return logits


BY_SAMPLE = {"model": utils.M(VodeParam | VodeParam.Cache).to((None, 0))}
STATES = {"model": utils.M_hasnot(VodeParam, frozen=True).to((False, True))}
WEIGHTS = {"model": utils.M(nn.LayerParam).to((False, True))}


@functional.vmap(BY_SAMPLE, in_axes=(0, 0), out_axes=0)
def forward(x: Any, y: Any, *, model: Any) -> Any:
    return model(x, y)


@functional.vmap(BY_SAMPLE, in_axes=(0,), out_axes=None, axis_name="batch")
def energy(x: Any, *, model: Any) -> Any:
    model(x, None)
    return jax.lax.psum(model.energy(), "batch")


@functional.jit(static_argnums=0)
def teach(iterations: int, x: Any, y: Any, *, model: Any, of_weights: Any, of_states: Any) -> None:
    model.train()
    with utils.step(model, STATUS.INIT, clear_params=VodeParam.Cache):
        forward(x, y, model=model)
    of_states.init(utils.M_hasnot(VodeParam, frozen=True)(model))
    for _ in range(iterations):
        with utils.step(model, clear_params=VodeParam.Cache):
            _, slopes = functional.value_and_grad(STATES)(energy)(x, model=model)
        of_states.step(model, slopes["model"])
    of_states.clear()
    with utils.step(model, clear_params=VodeParam.Cache):
        _, slopes = functional.value_and_grad(WEIGHTS)(energy)(x, model=model)
    of_weights.step(model, slopes["model"], scale_by=1.0 / len(x))


@functional.jit()
def logits_of(x: Any, *, model: Any) -> Any:
    model.eval()
    with utils.step(model, STATUS.INIT, clear_params=(VodeParam, VodeParam.Cache)):
        return forward(x, None, model=model)


def main(data: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
    """Teach and print."""
    pcx.RKG.seed(settings["seed"])
    random = np.random.default_rng(settings["seed"])
    model = Digits(settings["widths"])
    classes = np.eye(settings["widths"][-1], dtype=np.float32)[data["train_target"]]
    with utils.step(model, STATUS.INIT, clear_params=VodeParam.Cache):
        forward(data["train"][: settings["batch"]], None, model=model)
        of_states = utils.Optim(lambda: optax.sgd(settings["step_size"]))
        of_weights = utils.Optim(
            lambda: optax.adamw(settings["learning_rate"]), utils.M(nn.LayerParam)(model)
        )
    spent = []
    for _ in range(settings["steps"]):
        chosen = random.choice(len(classes), settings["batch"], replace=False)
        start = time.process_time()
        x, y = data["train"][chosen], classes[chosen]
        teach(settings["iterations"], x, y, model=model, of_weights=of_weights, of_states=of_states)
        jax.block_until_ready(model.maps[0].nn.weight.get())
        spent.append(time.process_time() - start)
    right = np.asarray(logits_of(data["test"], model=model)).argmax(axis=1) == data["test_target"]
    step = statistics.median(spent[UNTIMED:])
    print(json.dumps({"accuracy": float(right.mean()), "step_ms": 1000 * step}))


if __name__ == "__main__":
    main(np.load(sys.argv[1]), json.loads(sys.argv[2]))
