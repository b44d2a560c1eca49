"""Retrieval as a value of attention: steps of the Hopfield network, positions, what goes with it."""

import copy
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config import load
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.heads import HeadNorm
from precisionflow.models.attention.iterated import hopfield
from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH, TOKENS = 2, 8, 7


def made(
    *, iterations: int, prior: object, temperature: float | None = None, **bricks: nn.Module
) -> Attention:
    torch.manual_seed(0)
    described = config.Attention(
        prior=prior, value=config.Hopfield(iterations=iterations), temperature=temperature
    )
    module = attention(described, width=HEADS * WIDTH, heads=HEADS, **bricks).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def tokens() -> torch.Tensor:
    return torch.randn(
        3, TOKENS, HEADS * WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


AT = Sites(torch.arange(TOKENS))


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_it_is_so_many_steps_of_the_hopfield_network(iterations: int) -> None:
    module, x = made(iterations=iterations, prior=config.Full()), tokens()
    queries, keys = module.potential.queries_keys(x, AT).chunk(2, dim=1)
    model = hopfield.Hopfield(keys, precision=WIDTH**-0.5)
    state = settle(model, queries, iterations=iterations, tolerance=0.0).state
    torch.testing.assert_close(module(x, AT), module.mix(state.transpose(1, 2).flatten(-2)))


def test_the_free_energy_of_each_query_never_rises_under_a_prior() -> None:
    """F of every query by itself, over the keys that its prior leaves."""
    x, energies = tokens(), []
    module = made(iterations=1, prior=config.Causal())
    posterior = module.posterior(x, AT)
    prior = posterior.prior.matrix(TOKENS, TOKENS, device=x.device, dtype=x.dtype)
    for _ in range(20):
        evidence = (posterior.lowering.log_potentials(posterior.queries, posterior.keys) + prior).logsumexp(
            -1
        )
        energies.append(0.5 * WIDTH**0.5 * posterior.queries.square().sum(-1) - evidence)
        retrieved = module.value.expectation(posterior, posterior.keys, AT)
        posterior = replace(posterior, queries=module.potential.scaled(retrieved))
    falls = torch.stack(energies).diff(dim=0)
    assert (falls <= 1e-12).all()
    assert falls[0].min() < -0.1


def test_a_temperature_divides_the_precision_of_every_step() -> None:
    module, x = made(iterations=4, prior=config.Full(), temperature=1.0), tokens()
    temperature = module.potential.temperature()
    assert (temperature[0] - temperature[1]).abs() > 0.1
    queries, keys = module.potential.potential.queries_keys(x, AT).chunk(2, dim=1)
    heads = [
        settle(
            hopfield.Hopfield(keys[:, head], precision=WIDTH**-0.5 / float(temperature[head].detach())),
            queries[:, head],
            iterations=4,
            tolerance=0.0,
        ).state
        for head in range(HEADS)
    ]
    torch.testing.assert_close(module(x, AT), module.mix(torch.cat(heads, dim=-1)))
    assert not any("lowered" in name for name, _ in module.named_parameters())


@pytest.mark.parametrize("prior", [config.Causal(), config.Full()])
def test_what_is_retrieved_depends_on_relative_positions_alone(prior: object) -> None:
    bricks = {"norm": HeadNorm(2 * HEADS, WIDTH), "rotation": Rotary(WIDTH)}
    module, x = made(iterations=3, prior=prior, **bricks), tokens()
    here, there = module(x, AT), module(x, Sites(AT.positions + 31))
    torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-5)
    assert (module(x, Sites(2 * AT.positions)) - here).abs().max() > 1e-3


def test_others_retrieve_from_the_keys_alone() -> None:
    bricks = {"norm": HeadNorm(2 * HEADS, WIDTH), "rotation": Rotary(WIDTH)}
    module, x = made(iterations=2, prior=config.Causal(), **bricks), tokens()
    memory = module.memory(x, AT)
    assert memory.values.numel() == 0
    torch.testing.assert_close(module.attend(x, AT, memory), module(x, AT))


def test_a_potential_without_this_free_energy_is_refused() -> None:
    both = ["model.attention.value.kind=hopfield", "model.attention.potential.kind=gaussian_per_key"]
    with pytest.raises(
        ValueError, match=r"model\.attention\.potential\.kind: 'gaussian_per_key'.*dot_product"
    ):
        load("quickstart-language", both)


def test_edges_that_are_no_choice_among_keys_are_refused() -> None:
    both = ["model.attention.value.kind=hopfield", "model.attention.edges.kind=expanding"]
    both += ["model.attention.prior.kind=geometric", "ablation={}"]
    with pytest.raises(ValueError, match=r"model\.attention\.edges\.kind: 'expanding'.*one_of_keys"):
        load("quickstart-language", both)


def test_a_copy_retrieves_by_its_own_temperature() -> None:
    module, x = made(iterations=3, prior=config.Full(), temperature=1.0), tokens()
    before, other = module(x, AT), copy.deepcopy(module)
    nn.init.constant_(next(other.potential.temperature.parameters()), 3.0)
    assert torch.equal(module(x, AT), before)
    assert (other(x, AT) - before).abs().max() > 1e-3
    functional = torch.func.functional_call(module, dict(other.named_parameters()), (x, AT))
    torch.testing.assert_close(functional, other(x, AT))


def test_no_step_is_refused() -> None:
    with pytest.raises(ValidationError, match="iterations"):
        config.Hopfield(iterations=0)
