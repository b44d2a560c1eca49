"""Beliefs about one mean and one precision, from values that lie on several ranks, beside those of one process.

torchrun starts it once for each rank; without torchrun it is one rank. Every rank draws all values and keeps its own.
"""

import json

import torch
from torch import distributed as dist

from precisionflow.inference.variational import Gamma, Gaussian, Model, Shared, infer, normal
from precisionflow.inference.variational.factors import Variable
from precisionflow.training.ranks import Ranks

VALUES = 10_000


def model_of(values: torch.Tensor) -> tuple[Model, tuple[Variable, Variable]]:
    """Values of unknown mean and precision; the two variables."""
    model = Model()
    mean, precision = model.latent(Gaussian.of(0.0, 1e-3)), model.latent(Gamma.of(1e-3, 1e-3))
    model.observe(normal(mean, precision), values)
    return model, (mean, precision)


def main() -> None:
    """Infer over the ranks, then alone, and print how far apart the two are."""
    ranks = Ranks.of_process(torch.device("cpu"))
    if ranks.count > 1:
        dist.init_process_group("gloo")
    values = 3 + 0.5 * torch.randn(
        VALUES, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    model, variables = model_of(values[ranks.index :: ranks.count])
    together = infer(model, shared=Shared(variables, ranks.sum))
    whole, same = model_of(values)
    alone = infer(whole)
    apart = max(
        abs(float(together[one].mean / alone[other].mean - 1))
        for one, other in zip(variables, same, strict=True)
    )
    mean, precision = (float(together[variable].mean) for variable in variables)
    found = {"rank": ranks.index, "ranks": ranks.count, "values": len(values[ranks.index :: ranks.count])}
    print(json.dumps(found | {"mean": mean, "precision": precision, "off one process": apart}), flush=True)
    if ranks.count > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
