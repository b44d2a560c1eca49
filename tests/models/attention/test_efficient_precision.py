"""Precisions of low rank, in levels, shared by layers and computed again: each is the plain form in its limit."""

import math

import pytest
import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.networks import Transformer
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.potentials.centred import Levels, PrecisionOfTokens
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.layered import Recomputed, TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

WIDTH, HEADS, TOKENS = 8, 2, 6
KINDS = (config.GaussianPerKey, config.GaussianPerQuery, config.GaussianSeparable)


def made(potential: config.Potential) -> nn.Module:
    torch.manual_seed(0)
    module = attention(config.Attention(potential=potential), width=WIDTH, heads=HEADS)
    for name, parameter in module.named_parameters():
        nn.init.normal_(parameter, std=0.1 if "precision" in name else 0.5)
    return module


def precisions(module: nn.Module) -> list[PrecisionOfTokens]:
    return [part for part in module.modules() if isinstance(part, PrecisionOfTokens)]


def text() -> tuple[torch.Tensor, Sites]:
    x = torch.randn(3, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))
    return x, Sites(torch.arange(TOKENS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_of_full_rank_says_what_one_matrix_says(kind):
    plain, factored = made(kind()), made(kind(rank=WIDTH))
    state = plain.state_dict()
    for of, like in zip(precisions(factored), precisions(plain), strict=True):
        left, sizes, right = torch.linalg.svd(like.log_precision.weight.detach())
        of.log_precision[0].weight.data = sizes.sqrt()[:, None] * right
        of.log_precision[1].weight.data = left * sizes.sqrt()
        of.log_precision[1].bias.data = like.log_precision.bias.data
    factored.load_state_dict({k: v for k, v in state.items() if ".log_precision." not in k}, strict=False)
    torch.testing.assert_close(factored(*text()), plain(*text()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_rank_bounds_what_the_map_can_say(kind):
    x, _ = text()
    for of in precisions(made(kind(rank=2))):
        said = of(x).transpose(1, 2).reshape(-1, WIDTH)
        assert torch.linalg.matrix_rank(said - said.mean(0), tol=1e-4) == 2
        assert sum(p.numel() for p in of.parameters()) == 2 * 2 * WIDTH + WIDTH


@pytest.mark.parametrize("kind", KINDS)
def test_many_levels_are_the_continuous_form(kind):
    plain, rounded = made(kind()), made(kind(levels=1_000_001))
    torch.testing.assert_close(rounded(*text()), plain(*text()), atol=1e-4, rtol=1e-4)
    few = made(kind(levels=3))
    assert (few(*text()) - plain(*text())).abs().max() > 1e-3


def test_levels_are_the_nearest_of_an_even_grid():
    levels = Levels(5, centre=1.0)
    step = math.log(64) / 2
    x = torch.tensor([1.0, 1.0 + 0.49 * step, 1.0 + 0.51 * step, 1.0 - 1.6 * step, 50.0, -50.0])
    expected = [1.0, 1.0, 1.0 + step, 1.0 - 2 * step, 1.0 + 2 * step, 1.0 - 2 * step]
    torch.testing.assert_close(levels(x), torch.tensor(expected))


def test_a_rounded_precision_learns_as_if_it_were_not_rounded():
    x = torch.tensor([0.3, 7.0, -9.0], requires_grad=True)
    (Levels(3, centre=0.0)(x) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("levels", [3, 9])
def test_the_initial_precision_is_a_level(levels):
    module = attention(
        config.Attention(potential=config.GaussianPerKey(levels=levels, initial_precision=3.0)),
        width=WIDTH,
        heads=HEADS,
    )
    (of,) = precisions(module)
    torch.testing.assert_close(of(text()[0]).exp(), torch.full((3, HEADS, TOKENS, WIDTH // HEADS), 3.0))


def test_an_even_number_of_levels_is_refused():
    with pytest.raises(ValueError, match=r"levels 4 is even, .* take 5"):
        config.GaussianPerKey(levels=4)


def network(
    potential: config.Potential | None = None, *, recompute: bool = False, blocks: int = 2
) -> TokenNetwork:
    torch.manual_seed(0)
    described = Transformer(
        blocks=blocks,
        heads=HEADS,
        width=WIDTH,
        attention=config.Attention(potential=potential or config.GaussianPerKey()),
        zero_projections=False,
        recompute=recompute,
    )

    def readout(norm, embedding, last):
        return TokenReadout(norm, embedding, last, classes=5)

    return transformer(described, vocabulary=5, context=TOKENS, readout=readout)


def learned(model: TokenNetwork) -> dict[str, torch.Tensor]:
    """Gradients of every parameter, by all names that it has; precisions differ between tokens."""
    torch.manual_seed(1)
    for of in dict.fromkeys(precisions(model)):
        nn.init.normal_(of.log_precision.weight, std=0.3)
    model(torch.tensor([[0, 3, 1, 4, 2, 2]])).square().sum().backward()
    return {name: of.grad for name, of in model.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_precision_shared_by_one_layer_is_its_own(kind):
    plain, shared = (learned(network(kind(shared=shared), blocks=1)) for shared in (False, True))
    assert plain.keys() == shared.keys()
    for name, gradient in plain.items():
        assert torch.equal(shared[name], gradient), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_precision_learns_what_the_layers_own_would_in_sum(kind):
    shared, plain = network(kind(shared=True)), network(kind())
    gradients = learned(shared)
    plain.load_state_dict(shared.state_dict())
    plain(torch.tensor([[0, 3, 1, 4, 2, 2]])).square().sum().backward()
    own = {name: of.grad for name, of in plain.named_parameters()}
    stated = [name for name in own if "log_precision" in name]
    assert stated
    for name, gradient in own.items():
        first, second = name.replace("layers.3", "layers.1"), name.replace("layers.1", "layers.3")
        expected = own[first] + own[second] if name in stated else gradient
        torch.testing.assert_close(gradients[name], expected)
    fewer = sum(own[name].numel() for name in stated) // 2
    assert sum(p.numel() for p in shared.parameters()) == sum(p.numel() for p in plain.parameters()) - fewer


def test_branches_that_are_computed_again_have_the_same_gradients_and_keep_less():
    ids = torch.tensor([[0, 3, 1, 4, 2, 2]])
    kept, gradients = [], []
    for recompute in (False, True):
        model, held = network(recompute=recompute), [0]

        def count(tensor: torch.Tensor, held: list[int] = held) -> torch.Tensor:
            held[0] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = model(ids).square().sum()
        loss.backward()
        kept.append(held[0])
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert sum(isinstance(layer, Recomputed) for layer in model.layers) == (4 if recompute else 0)
    plain, again = gradients
    for name, gradient in plain.items():
        assert torch.equal(again[name], gradient), name
    assert kept[1] < 0.5 * kept[0]
