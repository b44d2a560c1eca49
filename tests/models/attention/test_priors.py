"""Priors over edges against their definitions, edge by edge; blocks, prefixes and padding of every prior."""

import math

import oracles
import pytest
import torch
from torch import nn

from precisionflow.config import ConfigError, Experiment, resolve
from precisionflow.config import attention as config
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.edges import Posterior
from precisionflow.models.attention.log_prior import EVERY_EDGE, LogPrior
from precisionflow.models.attention.lowerings import inner_product
from precisionflow.models.attention.lowerings.inner_product import InnerProduct
from precisionflow.models.attention.priors.assembled import prior
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.sites import Sites

HEADS, TOKENS = 2, 9
CPU = {"device": torch.device("cpu"), "dtype": torch.float64}
EVERY_TOKEN = tuple((i, j) for i in range(TOKENS) for j in (i, (i * 3) % 7))
PRIORS = [
    config.Causal(),
    config.Full(),
    config.Window(before=2),
    config.Window(before=1, after=3),
    config.Graph(edges=EVERY_TOKEN),
    config.Graph(edges=((0, 0), (1, 0), (1, 2), (2, 2)), size=3),
    config.Relative(largest=3),
    config.Decay(),
    config.Absolute(places=5),
    config.Product(of=(config.Causal(), config.Relative(largest=4), config.Window(before=3))),
]


def naive(described: config.Prior, module: nn.Module, head: int, i: int, j: int) -> float:
    """log p(edge i -> j) of a head, from its definition."""
    match described:
        case config.Product(of=of):
            return sum(naive(one, part, head, i, j) for one, part in zip(of, module, strict=True))
        case config.Relative(largest=largest):
            return module.log_prior[head, 0, largest + max(-largest, min(i - j, largest))].item()
        case config.Absolute(places=places):
            return module.log_prior[head, 0, min(j, places - 1)].item()
        case config.Decay():
            return -abs(i - j) * 2 ** (-8 * (head + 1) / HEADS)
        case config.Causal():
            return 0.0 if j <= i else -math.inf
        case config.Full():
            return 0.0
        case config.Window(before=before, after=after):
            return 0.0 if i - before <= j <= i + after else -math.inf
        case config.Graph(edges=edges, size=size):
            return 0.0 if (i // size, j // size) in edges else -math.inf


def made(described: config.Prior) -> nn.Module:
    module = prior(described, heads=HEADS)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.fixture(params=PRIORS, ids=lambda p: str(p.kind))
def described(request):
    torch.manual_seed(0)
    return request.param


def test_a_prior_is_its_definition_edge_by_edge(described):
    module, at = made(described), Sites(torch.arange(TOKENS))
    expected = torch.tensor(
        [
            [[naive(described, module, h, i, j) for j in range(TOKENS)] for i in range(TOKENS)]
            for h in range(HEADS)
        ],
        dtype=torch.float64,
    )
    found = module.log(at, at).matrix(TOKENS, TOKENS, **CPU)
    torch.testing.assert_close(found.expand(1, HEADS, TOKENS, TOKENS)[0], expected)
    possible = torch.tensor([[described.possible(i, j) for j in range(TOKENS)] for i in range(TOKENS)])
    assert torch.equal(found.isfinite().expand(1, HEADS, TOKENS, TOKENS)[0, 0], possible)
    assert described.causal == (not possible.triu(1).any())


def test_what_a_block_reaches_is_all_that_there_is(described):
    at = Sites(torch.arange(TOKENS))
    log = made(described).log(at, at) * padding(at, at)
    whole = log.matrix(TOKENS, TOKENS, **CPU)
    for rows in (slice(0, 1), slice(2, 5), slice(8, 9), slice(0, 9)):
        reach = log.reach(rows, TOKENS)
        torch.testing.assert_close(log.block(rows, reach, **CPU), whole[:, :, rows, reach])
        outside = torch.ones(TOKENS, dtype=torch.bool)
        outside[reach] = False
        assert whole[:, :, rows][..., outside].isneginf().all()


def test_beyond_the_last_block_of_a_graph_there_is_no_edge():
    at = Sites(torch.arange(8))
    log = made(config.Graph(edges=((0, 0), (1, 1), (1, 0)), size=2)).log(at, at)
    found = log.matrix(8, 8, **CPU).isfinite()[0, 0]
    assert found[2:4].tolist() == [[True] * 4 + [False] * 4] * 2
    assert not found[4:].any()


def test_where_priors_share_no_key_all_are_looked_at():
    """One of them leaves the query its own place, the other the place five behind it."""
    at, ahead = Sites(torch.arange(TOKENS)), Sites(torch.arange(TOKENS) + 5)
    own = made(config.Window(before=0))
    log = own.log(at, at) * own.log(ahead, at)
    assert log.reach(slice(1, 2), TOKENS) == (own.log(ahead, at) * own.log(at, at)).reach(slice(1, 2), TOKENS)
    assert log.reach(slice(1, 2), TOKENS) == slice(0, TOKENS)


def test_a_window_visits_no_more_keys_than_it_has():
    at = Sites(torch.arange(100))
    log = made(config.Product(of=(config.Window(before=3, after=2), config.Causal()))).log(at, at)
    assert log.reach(slice(50, 60), 100) == slice(47, 60)
    assert made(config.Window(before=3, after=2)).log(at, at).reach(slice(50, 60), 100) == slice(47, 62)


@pytest.mark.parametrize("queries", [1, 4])
def test_of_fewer_queries_than_keys_the_last_query_sees_the_last_key(described, queries):
    """A suffix of the tokens asks all of them: the rows are the last of the square."""
    module, at = made(described), Sites(torch.arange(TOKENS))
    suffix = Sites(torch.arange(TOKENS)[-queries:])
    log = module.log(suffix, at)
    whole = module.log(at, at).matrix(TOKENS, TOKENS, **CPU)
    torch.testing.assert_close(log.matrix(queries, TOKENS, **CPU), whole[:, :, -queries:])
    rows = slice(queries - 1, queries)
    reach = log.reach(rows, TOKENS)
    torch.testing.assert_close(log.block(rows, reach, **CPU), whole[:, :, -1:, reach])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_expectation_and_its_gradients_are_those_of_the_naive_form(described, scale):
    module, at = made(described).double(), Sites(torch.arange(TOKENS))
    sides = [torch.randn(2, HEADS, TOKENS, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    queries, keys, values = sides
    log = module.log(at, at)
    found = Posterior(InnerProduct(), queries * scale, keys, log).expectation(values)
    bias = torch.stack([log.matrix(TOKENS, TOKENS, **CPU)[0, h % log_heads(log)] for h in range(HEADS)])
    potential = scale * torch.einsum("bhid,bhjd->bhij", queries, keys)
    expected = oracles.naive_attention(potential + bias, values, causal=False)
    torch.testing.assert_close(found, expected)
    learned = [*sides, *module.parameters()]
    weights = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((of * weights).sum(), learned) for of in (found, expected))
    torch.testing.assert_close(ours, theirs)


def log_heads(log) -> int:
    return log.matrix(TOKENS, TOKENS, **CPU).shape[1]


@pytest.mark.parametrize("rows", [slice(0, 9), slice(2, 3), slice(3, 7), slice(4, 4)])
@pytest.mark.parametrize("columns", [slice(0, 9), slice(0, 1), slice(1, 6)])
def test_positions_known_to_be_consecutive_change_neither_a_block_nor_its_gradients(described, rows, columns):
    """Queries stand five places behind the keys; tables are shorter than offsets and longer."""
    module = made(described)
    found = []
    for known in (False, True):
        queries, keys = (
            Sites(torch.arange(TOKENS) + start, None, range(start, start + TOKENS) if known else None)
            for start in (5, 0)
        )
        block = module.log(queries, keys).block(rows, columns, **CPU)
        weights = torch.randn(block.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        total = (weights * block.nan_to_num(neginf=0.0)).sum()
        learned = list(module.parameters())
        found.append((block, torch.autograd.grad(total, learned) if learned and total.requires_grad else ()))
    torch.testing.assert_close(found[0], found[1])


def test_padding_changes_nothing_at_real_tokens_and_all_stays_finite(described):
    """A window of padding alone has no token to look at: what it gets is finite, and seen by nobody."""
    module = attention(config.Attention(prior=described), width=8, heads=HEADS).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, TOKENS, 8, dtype=torch.float64, requires_grad=True)
    present = torch.arange(TOKENS) < torch.tensor([[9], [4]])
    present[1, 0] = True
    found = module(x, Sites(torch.arange(TOKENS), present))
    alone = module(x[1:, :4], Sites(torch.arange(4)))
    torch.testing.assert_close(found[1:, :4], alone)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert found.isfinite().all()
    assert gradient.isfinite().all()


def test_a_query_without_a_key_is_named():
    module = attention(config.Attention(prior=config.Graph(edges=((0, 0), (1, 2), (2, 1)))), width=8, heads=2)
    x = torch.randn(2, 3, 8)
    present = torch.tensor([[True, True, True], [True, True, False]])
    module(x, Sites(torch.arange(3)))
    with pytest.raises(
        ValueError, match=r"the query at position 1 no key; widen one of model\.attention\.prior"
    ):
        module(x, Sites(torch.arange(3), present))
    with pytest.raises(ValueError, match="the query at position 1 no key"):
        module.posterior(x[:, :2], Sites(torch.arange(2))).probabilities()
    with pytest.raises(ValueError, match="the query at position 3 no key"):
        module(x, Sites(torch.arange(1, 4)))


def test_one_prior_is_its_own_product(described):
    at = Sites(torch.arange(TOKENS))
    if isinstance(described, config.Product):
        return
    torch.manual_seed(1)
    alone = made(described).log(at, at).matrix(TOKENS, TOKENS, **CPU)
    torch.manual_seed(1)
    wrapped = made(config.Product(of=(described,))).log(at, at).matrix(TOKENS, TOKENS, **CPU)
    torch.testing.assert_close(wrapped, alone)
    assert EVERY_EDGE * EVERY_EDGE == EVERY_EDGE


def experiment(prior_of: object, **more: object) -> Experiment:
    described = {
        "name": "p",
        "task": {"kind": "next_token", "context": 6},
        "objective": {"kind": "cross_entropy"},
        "model": {"kind": "transformer", "attention": {"prior": prior_of}},
    }
    return resolve(described | more)


@pytest.mark.parametrize(
    "allowed",
    [
        {"kind": "window", "before": 5},
        {"kind": "product", "of": [{"kind": "relative"}, {"kind": "causal"}]},
        {"kind": "graph", "edges": [[i, 0] for i in range(6)]},
        {"kind": "product", "of": [{"kind": "graph", "edges": [[0, 0]], "size": 6}, {"kind": "causal"}]},
        {"kind": "product", "of": [{"kind": "decay", "slopes": [1, 0.5, 0.25, 0.1]}, {"kind": "causal"}]},
    ],
)
def test_a_text_is_predicted_under_a_causal_prior(allowed):
    assert experiment(allowed).model.attention.prior.causal


@pytest.mark.parametrize(
    ("prior_of", "message"),
    [
        (
            {"kind": "full"},
            "'full' lets a token see the later ones that it is to predict; use causal, or product",
        ),
        ({"kind": "window", "before": 5, "after": 1}, "'window' lets a token see"),
        ({"kind": "product", "of": [{"kind": "relative"}, {"kind": "decay"}]}, "'product' lets a token see"),
        ({"kind": "graph", "edges": [[0, 0]], "size": 6}, "'graph' lets a token see"),
        (
            {"kind": "graph", "edges": [[i, 0] for i in range(5)]},
            "leaves the token at position 5 of 6 no key",
        ),
        (
            {
                "kind": "product",
                "of": [
                    {"kind": "graph", "edges": [[i, 0] for i in range(6)]},
                    {"kind": "window", "before": 2},
                ],
            },
            "leaves the token at position 3 of 6 no key; give an edge [3, key]",
        ),
        (
            {"kind": "product", "of": [{"kind": "decay", "slopes": [1.0]}, {"kind": "causal"}]},
            "given 1 for model.heads 4",
        ),
        ({"kind": "window", "before": -1}, "before"),
        ({"kind": "window"}, "before"),
        ({"kind": "graph", "edges": []}, "edges"),
        ({"kind": "product", "of": []}, "of"),
    ],
)
def test_what_a_prior_cannot_be_is_told_in_one_line(prior_of, message):
    with pytest.raises(ConfigError) as caught:
        experiment(prior_of)
    assert "model.attention.prior" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "described",
    [
        config.Window(before=37),
        config.Window(before=5, after=20),
        config.Product(of=(config.Causal(), config.Relative(largest=9))),
        config.Product(
            of=(config.Graph(edges=((0, 0), (0, 1), (1, 0), (2, 2)), size=200), config.Absolute())
        ),
    ],
    ids=lambda p: str(p.kind),
)
def test_blocks_of_queries_give_what_the_whole_prior_gives(described, monkeypatch):
    """More queries than a block has, and a prior that is larger than one that is made as a whole."""
    tokens, at = 300, Sites(torch.arange(300))
    torch.manual_seed(0)
    module = made(described).double()
    sides = [torch.randn(1, HEADS, tokens, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    learned, weights = [*sides, *module.parameters()], torch.randn(1, HEADS, tokens, 4, dtype=torch.float64)
    results = []
    for whole in (10**6, 0):
        monkeypatch.setattr(inner_product, "WHOLE", whole)
        found = Posterior(InnerProduct(), *sides[:2], module.log(at, at)).expectation(sides[2])
        results.append((found, *torch.autograd.grad((found * weights).sum(), learned)))
    torch.testing.assert_close(results[0], results[1])


def test_a_graph_that_leaves_every_query_a_key_is_looked_through_once(monkeypatch):
    at, fewer = (Sites(torch.arange(count), None, range(count)) for count in (TOKENS, TOKENS - 1))
    module = prior(config.Graph(edges=EVERY_TOKEN), heads=HEADS)
    module.log(at, at).require_edges(TOKENS, TOKENS, device=CPU["device"])

    def looked_at(*_, **__):
        raise LookupError

    monkeypatch.setattr(LogPrior, "block", looked_at)
    module.log(at, at).require_edges(TOKENS, TOKENS, device=CPU["device"])
    for other in (module, prior(config.Graph(edges=EVERY_TOKEN), heads=HEADS)):
        with pytest.raises(LookupError):
            other.log(fewer, fewer).require_edges(TOKENS - 1, TOKENS - 1, device=CPU["device"])
