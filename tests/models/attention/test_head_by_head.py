"""Long sequences head by head against all heads at once: means, gradients, what is kept, other posteriors."""

import pytest
import torch
from naive_potentials import FORMS
from torch import nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.lowerings import blockwise
from precisionflow.models.attention.lowerings.head_by_head import HeadByHead, Unlowered
from precisionflow.models.attention.potentials import sides as potential_sides
from precisionflow.models.attention.potentials.centred import PrecisionOfTokens
from precisionflow.models.attention.sites import Sites

HEADS, WIDTH, TOKENS = 3, 8, 23
FORMS_OF_ALL = [config.Attention(potential=kind) for kind in FORMS] + [
    config.Attention(potential=kind, temperature=2.0)
    for kind in (config.DotProduct(), config.GaussianPerKey(), config.StudentTIsotropic())
]
MANY_PRIORS = config.Product(
    of=(config.Causal(), config.Relative(largest=5), config.Absolute(places=9), config.Decay())
)
PRIORS = (config.Window(before=6, after=2), MANY_PRIORS)
OTHERS = (
    {"value": config.Multihop(hops=3)},
    {"prior": config.Causal(), "edges": config.Independent()},
    {"prior": config.Geometric(), "edges": config.Expanding()},
    {"potential": config.GaussianSeparable(rank=2, levels=5)},
)


def named(of: config.Attention) -> str:
    return of.potential.kind + "-tempered" * (of.temperature is not None)


def made(described: config.Attention) -> Attention:
    """Attention with weights that are all at work."""
    torch.manual_seed(0)
    module = attention(described, width=HEADS * WIDTH, heads=HEADS).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def tokens(count: int = TOKENS, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, count, HEADS * WIDTH, generator=generator, dtype=torch.float64)
    return (scale * x).requires_grad_()


def padded(x: torch.Tensor) -> Sites:
    count = x.shape[1]
    present = torch.arange(count) < torch.tensor([[count], [max(1, count - 4)]])
    return Sites(torch.arange(count), present, range(count))


def passes(
    module: Attention, x: torch.Tensor, *, times: int = 1, autocast: bool = False, backward: bool = False
) -> list[torch.Tensor]:
    """The means of tokens that are none of padding and the gradients, those of the last of several backward passes.

    `autocast`: the forward pass in bfloat16; `backward`: the backward pass inside autocast too.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = module(x, padded(x))[padded(x).present]
    weights = torch.linspace(-1, 1, found.numel()).view_as(found).to(found.dtype)
    wanted = [x, *module.parameters()]
    total = (found * weights).sum()
    for _ in range(times):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=backward):
            gradients = torch.autograd.grad(total, wanted, retain_graph=True, allow_unused=True)
    return [found, *(torch.zeros(()) if one is None else one for one in gradients)]


@pytest.fixture
def long(monkeypatch):
    """From now on every sequence is long, and has many blocks."""

    def begin() -> None:
        for room in (blockwise, potential_sides):
            monkeypatch.setattr(room, "KEPT", 0)
        monkeypatch.setattr(blockwise, "ROWS", 10)
        monkeypatch.setattr(blockwise, "SKIPPING_ROWS", 7)

    return begin


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: prior.kind)
@pytest.mark.parametrize("described", FORMS_OF_ALL, ids=named)
def test_means_and_gradients_are_those_of_all_heads_at_once(described, prior, long):
    module, x = made(described.model_copy(update={"prior": prior})), tokens()
    at_once = passes(module, x)
    long()
    head_by_head = passes(module, x, times=2)
    torch.testing.assert_close(head_by_head, at_once, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("count", [1, 10, 13])
@pytest.mark.parametrize("kind", [config.GaussianSeparable(), config.GaussianMixture()])
def test_of_any_length_and_scale(kind, count, scale, long):
    module, x = made(config.Attention(potential=kind)), tokens(count, scale)
    at_once = passes(module, x)
    long()
    torch.testing.assert_close(passes(module, x), at_once, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("parts", OTHERS, ids=str)
def test_other_values_and_posteriors_have_the_same_sides(parts, long):
    module, x = made(config.Attention(**{"potential": config.GaussianPerKey()} | parts)), tokens()
    at_once, memory = passes(module, x), module.memory(x, padded(x)).keys
    long()
    torch.testing.assert_close(passes(module, x), at_once, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(module.memory(x, padded(x)).keys, memory)


@pytest.mark.parametrize("described", FORMS_OF_ALL, ids=named)
def test_autocast_makes_the_same_sides(described, long):
    module, x = made(described).float(), tokens().detach().float().requires_grad_()
    at_once = passes(module, x, autocast=True)
    long()
    for found, expected in zip(passes(module, x, autocast=True), at_once, strict=True):
        assert (found.float() - expected.float()).norm() <= 0.01 * expected.float().norm()


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("described", FORMS_OF_ALL, ids=named)
def test_a_backward_pass_inside_autocast_is_the_one_outside_of_it(described, short, long):
    module, x = made(described).float(), tokens().detach().float().requires_grad_()
    if not short:
        long()
    outside = passes(module, x, autocast=True)
    for found, expected in zip(passes(module, x, autocast=True, backward=True), outside, strict=True):
        assert (found.float() - expected.float()).norm() <= 0.01 * expected.float().norm()


@pytest.mark.parametrize("frozen", ["precision", "queries_keys", "value", "all"])
def test_what_needs_no_gradient_gets_none(frozen, long):
    module, x = made(config.Attention(potential=config.GaussianPerKey(), prior=MANY_PRIORS)), tokens()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(frozen != "all" and frozen not in name)
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    wanted = [x, *learned]

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(module(x, padded(x))[padded(x).present].square().sum(), wanted)

    at_once = gradients()
    long()
    torch.testing.assert_close(gradients(), at_once)
    assert not module(x.detach(), padded(x)).requires_grad or learned


def bytes_kept(module: Attention, x: torch.Tensor) -> int:
    """Of the storages that a forward pass keeps for the backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = module(x, padded(x))
    assert found.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("described", FORMS_OF_ALL, ids=named)
def test_no_side_is_kept(described, long):
    """Tokens, queries and keys, values, what the mix is given, and precisions that tokens state."""
    long()
    module, x = made(described), tokens(100)
    sides = module.potential(x, padded(x))
    wider = not isinstance(described.potential, config.DotProduct)
    assert all(isinstance(side, Unlowered) == wider for side in sides)
    assert isinstance(module.posterior(x, padded(x)).lowering, HeadByHead) == wider
    stated = sum(isinstance(part, PrecisionOfTokens) for part in module.modules())
    weights = sum(weight.nbytes for weight in module.parameters())
    if wider:
        assert bytes_kept(module, x) <= (5 + stated) * x.nbytes + weights + x.nbytes // 4


def test_the_matrix_is_that_of_all_heads_at_once(long):
    module, x = made(config.Attention(potential=config.GaussianSeparable(), temperature=2.0)), tokens()
    at_once = module.posterior(x, padded(x)).probabilities()
    long()
    torch.testing.assert_close(module.posterior(x, padded(x)).probabilities(), at_once)
