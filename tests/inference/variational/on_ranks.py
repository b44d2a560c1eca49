"""A rank: infers from its share of the data and writes what it believes. on_ranks.py FOLDER RANK RANKS."""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch import distributed as dist

from precisionflow.inference.allocation.over_ranks import whole_over_ranks
from precisionflow.inference.allocation.utility import Utility
from precisionflow.inference.variational import (
    Dirichlet,
    Gamma,
    Gaussian,
    GaussianVector,
    Model,
    Shared,
    Wishart,
    categorical,
    coloured,
    infer,
    normal,
)
from precisionflow.inference.variational.factors import Variable
from precisionflow.inference.variational.families.categorical import Categorical
from precisionflow.training.ranks import Ranks

VALUES, STATES, WIDTH, GROUPS = 61, 3, 2, 23
TOLERANCE = 1e-14
BUDGET = 150 * VALUES + 7


def data() -> tuple[Tensor, Tensor, Tensor]:
    """Values of a mixture, a start of their states, and values of groups."""
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn(VALUES, WIDTH, dtype=torch.float64, generator=random)
    drawn += 4 * torch.arange(VALUES)[:, None].remainder(STATES)
    chosen = torch.rand(VALUES, STATES, dtype=torch.float64, generator=random).softmax(dim=1)
    return drawn, chosen, 2 + torch.randn(4, GROUPS, dtype=torch.float64, generator=random)


def mixture(values: Tensor, chosen: Tensor) -> tuple[Model, list[Variable]]:
    """States of values are of one rank; weights, means and precisions are shared."""
    model, eye = Model(), torch.eye(WIDTH, dtype=torch.float64)
    weights = model.latent(Dirichlet.of(torch.ones(STATES)))
    which = model.latent(categorical(weights), plates=(len(values),), start=Categorical.of(chosen))
    means = model.latent(GaussianVector.of(torch.zeros(STATES, WIDTH), 0.01 * eye))
    precisions = model.latent(Wishart.of(torch.full((STATES,), 3.0), eye))
    model.observe(normal(means, precisions), values, which=which)
    return model, [weights, means, precisions]


def groups(values: Tensor) -> tuple[Model, list[Variable]]:
    """Groups, each with a mean that one mean and precision predict; these are shared."""
    model = Model()
    mean, spread = model.latent(Gaussian.of(0.0, 0.1)), model.latent(Gamma.of(2.0, 1.0))
    each = model.latent(normal(mean, spread), plates=(values.shape[1],))
    model.observe(normal(each, 1.5), values)
    return model, [mean, spread]


def utilities() -> Utility:
    """Two rows of patches, half of them alike, so that gains tie over ranks."""
    random = torch.Generator().manual_seed(1)
    weight, ratio = torch.randn(2, 2, VALUES, dtype=torch.float64, generator=random).exp()
    alike = torch.arange(VALUES).remainder(2) == 0
    return Utility(torch.where(alike, 1.0, weight), torch.where(alike, 0.02, ratio / 50))


def tokens(ranks: Ranks, own: slice) -> list[list[int]]:
    """Of this rank's patches, the sum over all ranks kept."""
    utility = Utility(*(of[:, own] for of in utilities()))
    return whole_over_ranks(utility, BUDGET, ranks).tolist()


def tokens_of_a_bad_rank(ranks: Ranks) -> str:
    """What a rank hears where the last one has a weight below 0."""
    weight = torch.full((1, 3), -1.0 if ranks.index == ranks.count - 1 else 1.0)
    try:
        whole_over_ranks(Utility(weight, torch.ones(1, 3)), 600, ranks)
    except ValueError as error:
        return str(error)
    return ""


def start_of_one_rank(ranks: Ranks) -> str:
    """What a rank hears where a shared variable begins elsewhere on each."""
    model = Model()
    mean = model.latent(Gaussian.of(0.0, 1.0), start=Gaussian.of(float(ranks.index), 1.0))
    model.observe(normal(mean, 1.0), torch.zeros(3))
    try:
        infer(model, shared=Shared((mean,), ranks.sum))
    except ValueError as error:
        return str(error)
    return ""


def main(folder: Path, ranks: Ranks) -> None:
    """Every model by every schedule; sums over ranks are counted."""
    values, chosen, grouped = data()
    calls = 0

    def total(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return ranks.sum(x)

    def share(count: int) -> slice:
        # unlike shares: a fifth of all to the first of two
        cuts = [0, count // 5, count] if ranks.count == 2 else [0, count]
        return slice(cuts[ranks.index], cuts[ranks.index + 1])

    found = {}
    for name, (model, variables) in {
        "mixture": mixture(values[share(VALUES)], chosen[share(VALUES)]),
        "groups": groups(grouped[:, share(GROUPS)]),
    }.items():
        calls = 0
        inferred = infer(
            model, schedule=coloured, iterations=30, tolerance=TOLERANCE, shared=Shared(variables, total)
        )
        beliefs = [part.flatten().tolist() for x in variables for part in inferred[x].natural]
        found[name] = {
            "free_energies": inferred.free_energies,
            "beliefs": [number for part in beliefs for number in part],
            "sums": calls,
            "classes": sum(bool(set(of) & set(variables)) for of in coloured(model)),
        }
    found["tokens"] = {"own": tokens(ranks, share(VALUES)), "bad": tokens_of_a_bad_rank(ranks)}
    found["started apart"] = start_of_one_rank(ranks)
    (folder / f"{ranks.index}_of_{ranks.count}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    given, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{given / 'meeting'}", rank=rank, world_size=count)
    main(given, Ranks(rank, count))
    dist.destroy_process_group()
