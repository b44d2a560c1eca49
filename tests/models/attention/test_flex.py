"""FlexAttention's form of every potential and prior: edge by edge it is what blocks compute, gradients too."""

import jaxtyping
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from precisionflow.config import attention as config
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.expanding import Grown
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.log_prior import LogPrior
from precisionflow.models.attention.lowerings import flex
from precisionflow.models.attention.lowerings.log_sum import LogSum
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.assembled import prior
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.sites import Sites

BATCH, HEADS, TOKENS, WIDTH = 2, 2, 9, 4
AT = Sites(torch.arange(TOKENS), None, range(TOKENS))
APART = Sites(torch.arange(TOKENS).square())
HIDDEN = Sites(AT.positions, torch.arange(TOKENS) < torch.tensor([[TOKENS], [5]]))

POTENTIALS = [
    config.Attention(potential=config.DotProduct()),
    config.Attention(potential=config.DotProductKeyBias(), temperature=2.0),
    config.Attention(potential=config.GaussianIsotropic()),
    config.Attention(potential=config.GaussianPerKey()),
    config.Attention(potential=config.GaussianPerQuery()),
    config.Attention(potential=config.GaussianSeparable()),
    config.Attention(potential=config.GaussianMixture(components=3), temperature=2.0),
    config.Attention(potential=config.StudentTIsotropic(), temperature=2.0),
    config.Attention(potential=config.LaplaceElliptical()),
]
PRIORS = {
    "full": lambda: LogPrior(),
    "causal": lambda: LogPrior(causal=True),
    "not later": lambda: prior(config.Causal(), heads=HEADS).log(APART, AT._replace(span=None)),
    "window": lambda: prior(config.Window(before=2, after=1), heads=HEADS).log(AT, AT),
    "graph": lambda: prior(config.Graph(edges=((0, 0), (1, 0), (2, 1)), size=3), heads=HEADS).log(AT, AT),
    "relative": lambda: learned(config.Relative(largest=3)).log(AT, AT),
    "decay": lambda: prior(config.Decay(), heads=HEADS).log(APART, APART),
    "absolute": lambda: learned(config.Absolute(places=5)).log(AT, AT),
    "geometric": lambda: prior(config.Geometric(alpha=2.0, beta=5.0), heads=HEADS).log(AT, AT),
    "padding": lambda: learned(config.Relative(largest=3)).log(AT, AT) * padding(HIDDEN, HIDDEN),
    "grown": lambda: LogPrior(factors=(grown(),)),
}


def learned(described: config.Prior) -> nn.Module:
    module = prior(described, heads=HEADS).double()
    nn.init.normal_(module.log_prior, generator=torch.Generator().manual_seed(1))
    return module


def grown() -> Grown:
    window = torch.arange(BATCH * HEADS * TOKENS).view(BATCH, HEADS, TOKENS) % 4 + 1
    return Grown(window, -0.1 * window, torch.arange(TOKENS))


def sides(described: config.Attention) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The potential, its query side and its key side, in float64."""
    torch.manual_seed(0)
    module = potential(described, QueriesAndKeys(HEADS * WIDTH, heads=HEADS)).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    queries, keys = module(torch.randn(BATCH, TOKENS, HEADS * WIDTH, dtype=torch.float64), AT)
    return module, queries.detach().requires_grad_(), keys.detach().requires_grad_()


def edge_by_edge(score, values: torch.Tensor, log_prior: LogPrior) -> torch.Tensor:
    """What the kernel computes, from the functions that it is given."""
    (queries, _), (keys, _) = score.apart()
    index = torch.meshgrid(*(torch.arange(size) for size in (BATCH, HEADS, TOKENS, TOKENS)), indexing="ij")
    log = flex.score_mod(score, log_prior)(queries @ keys.transpose(-1, -2), *index)
    possible = flex.mask_mod(log_prior)
    if possible is not None:
        log = log.masked_fill(~possible(*index), float("-inf"))
    return log.softmax(-1) @ values


def assert_same_with_gradients(found, expected, inputs):
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    for mine, theirs in zip(
        torch.autograd.grad((found * weights).sum(), inputs, retain_graph=True),
        torch.autograd.grad((expected * weights).sum(), inputs, retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("described", POTENTIALS, ids=lambda of: of.potential.kind)
def test_a_score_is_the_log_potential(described):
    module, queries, keys = sides(described)
    values = torch.randn(BATCH, HEADS, TOKENS, 3, dtype=torch.float64, requires_grad=True)
    found = edge_by_edge(module.lowering.score(queries, keys), values, LogPrior())
    expected = Posterior(module.lowering, queries, keys).expectation(values)
    assert_same_with_gradients(found, expected, [queries, keys, values])


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_edge_by_edge_is_its_blocks(name):
    log_prior = PRIORS[name]()
    module, queries, keys = sides(POTENTIALS[2])
    values = torch.randn(BATCH, HEADS, TOKENS, 3, dtype=torch.float64, requires_grad=True)
    found = edge_by_edge(module.lowering.score(queries, keys), values, log_prior)
    matrix = log_prior.matrix(TOKENS, TOKENS, device=values.device, dtype=values.dtype)
    expected = (module.lowering.log_potentials(queries, keys) + matrix).softmax(-1) @ values
    assert_same_with_gradients(found, expected, [queries, keys, values, *log_prior.learned])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("described", "name"), [(POTENTIALS[6], "padding"), (POTENTIALS[7], "window")])
def test_flex_attention_gives_the_posterior_mean(described, name, monkeypatch):
    """Not compiled, as a test of what is asked of it: scores, blocks that are skipped, and their order."""
    from torch.nn.attention import flex_attention

    monkeypatch.setattr(flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(flex, "_compiled", lambda: flex_attention.flex_attention)
    log_prior = PRIORS[name]()
    module, *both = sides(described)
    queries, keys = (side.detach().float() for side in both)
    values = torch.randn(BATCH, HEADS, TOKENS, 4)
    with torch.no_grad():
        found = flex.expectation(module.lowering.score(queries, keys), values, log_prior)
        expected = module.lowering.expectation(queries, keys, values, log_prior)
    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_gradients_of_flex_attention_reach_all_that_is_learned(monkeypatch):
    """Traced as a GPU would be, run by torch's own operations, which know the way back on a CPU too."""
    from torch.nn.attention import flex_attention

    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    traced = torch.compile(flex_attention.flex_attention, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(flex, "_compiled", lambda: traced)
    log_prior = LogPrior(causal=True) * learned(config.Relative(largest=3)).float().log(AT, AT)
    module, *both = sides(POTENTIALS[6])
    inputs = [side.detach().float().requires_grad_() for side in both]
    inputs.append(torch.randn(BATCH, HEADS, TOKENS, 4, requires_grad=True))
    found = flex.expectation(module.lowering.score(*inputs[:2]), inputs[2], log_prior)
    expected = module.lowering.expectation(*inputs, log_prior)
    assert_same_with_gradients(found, expected, [*inputs, *log_prior.learned])


def test_block_masks_of_one_prior_are_made_once(monkeypatch):
    monkeypatch.setattr(flex, "_masks", type(flex._masks)())
    queries = torch.zeros(BATCH, HEADS, TOKENS, WIDTH)
    again = Sites(torch.arange(TOKENS), None, range(TOKENS))
    window = prior(config.Window(before=2), heads=HEADS)
    first = flex.block_mask(window.log(AT, AT), queries, queries)
    assert flex.block_mask(window.log(again, again), queries, queries) is first
    assert (
        flex.block_mask(prior(config.Window(before=3), heads=HEADS).log(AT, AT), queries, queries)
        is not first
    )
    later = Sites(AT.positions + 1, None, range(1, TOKENS + 1))
    assert flex.block_mask(window.log(AT, later), queries, queries) is not first
    assert flex.block_mask(LogPrior(), queries, queries) is None


def test_it_is_taken_for_half_precision_on_a_gpu_alone():
    with FakeTensorMode(allow_non_fake_inputs=True):

        def on(device: str, tokens: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
            return torch.empty(1, 1, tokens, WIDTH, device=device, dtype=dtype)

        assert flex.fits(on("cuda", 128), on("cuda", 129), on("cuda", 129))
        assert not flex.fits(on("cuda", 127), on("cuda", 129), on("cuda", 129))
        assert not flex.fits(on("cuda", 129), on("cuda", 127), on("cuda", 127))
        assert not flex.fits(on("cuda", 128), on("cuda", 128), on("cuda", 128, torch.float32))
        assert not flex.fits(on("cpu", 128), on("cpu", 128), on("cpu", 128))


def test_one_component_is_its_inner_product():
    """log sum of one exponential; the product of the slope, a level, a bias."""
    torch.manual_seed(0)
    queries, keys = torch.randn(1, 1, 3, 2 + WIDTH), torch.randn(1, 1, 5, 1 + WIDTH)
    slope, level = queries[..., :2].unbind(-1)
    product = queries[..., 2:] @ keys[..., 1:].transpose(-1, -2)
    expected = slope[..., None] * product + level[..., None] + keys[..., None, :, 0]
    one = LogSum(1)
    torch.testing.assert_close(one.log_potentials(queries, keys), expected)
    tempered = one.tempered(queries, torch.full((1, 1, 1), 0.3))
    torch.testing.assert_close(one.of_tempered().log_potentials(tempered, keys), 0.3 * expected)
