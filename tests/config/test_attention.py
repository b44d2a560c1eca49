"""Numbers of attention that no run could use: each is refused in one line before anything is made."""

import re

import pytest
import torch

from precisionflow.config import ConfigError, overlay, resolve
from precisionflow.config.attention import Attention, BlockNodes, Full
from precisionflow.config.networks import Transformer
from precisionflow.models.attention.attention import attention as made
from precisionflow.models.attention.sites import Sites

TEXT = {"kind": "next_token", "context": 4}


def attention(**parts: object) -> dict[str, object]:
    model = {"kind": "transformer", "width": 16, "heads": 2, "attention": parts}
    return {"name": "t", "task": TEXT, "model": model, "objective": {"kind": "cross_entropy"}}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"prior": {"kind": "decay", "slopes": [1.0, 1e40]}}, "model.attention.prior.slopes.1"),
        ({"prior": {"kind": "geometric", "alpha": 1e300}}, "model.attention.prior.alpha"),
        ({"prior": {"kind": "geometric", "beta": 2e8}}, "model.attention.prior.beta"),
        (
            {"prior": {"kind": "graph", "edges": [[0, 0], [10_000_000, 0]]}},
            "model.attention.prior.edges: [10000000, 0] is past the 8192 blocks that a graph tells apart",
        ),
        (
            {"potential": {"kind": "gaussian_per_key", "rank": 17}},
            "model.attention.potential.rank 17 is above model.width 16, where a map needs no rank; ",
        ),
    ],
)
def test_a_number_that_no_run_could_use_is_refused(parts, told):
    causal = {"kind": "product", "of": [{"kind": "causal"}, parts["prior"]]} if "prior" in parts else None
    with pytest.raises(ConfigError, match=re.escape(told)):
        resolve(attention(**parts))
    if causal:
        with pytest.raises(ConfigError, match=r"model\.attention\.prior"):
            resolve(attention(prior=causal))


NODES = {"kind": "block_slots", "count": 3}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"task": TEXT},
            "model.attention.kind: 'block_slots' infers its nodes of all tokens, of the later ones too that a token is "
            "to predict; leave kind out and use model.attention.prior.kind causal",
        ),
        (
            {"model.attention.blocks": 3},
            "model.width 16 over model.heads 2, 8, is not a multiple of model.attention.blocks 3; change one of them",
        ),
        (
            {"model.attention.prior": {"kind": "full"}},
            "model.attention.prior: unknown key *; it is a key where kind is",
        ),
        (
            {"model.attention.kind": "slots"},
            "model.attention.kind: unknown value 'slots'; allowed: gaussian_slots, *; or",
        ),
        (
            {"model.attention": {"kind": None, "prio": {}}},
            "model.attention.prio: unknown key *; allowed: edges, *",
        ),
        (
            {"gate": {"attention_on_cause": {"low": 0.5}}},
            "gate: attention_on_cause is of edges between tokens, and model.attention.kind block_slots has none; leave",
        ),
    ],
)
def test_latent_nodes_are_refused_where_they_do_not_fit(changes, told):
    recall = {"kind": "synthetic", "source": {"kind": "recall"}}
    tree = attention(**NODES) | {"task": recall}
    nodes = resolve(tree)
    edges = resolve(overlay(tree, {"model.attention.kind": None, "model.attention.prior.kind": "full"}))
    assert isinstance(nodes.model.attention, BlockNodes)
    assert edges.model.attention == Attention(prior=Full())
    assert set(edges.metrics) - set(nodes.metrics) == {"attention_on_cause", "attended_keys"}
    with pytest.raises(ConfigError, match="^" + re.escape(told).replace(r"\*", ".*")):
        resolve(overlay(tree, changes))


@pytest.mark.parametrize(
    "parts",
    [
        {
            "prior": {
                "kind": "product",
                "of": [{"kind": "causal"}, {"kind": "decay", "slopes": [1e-30, 1e30]}],
            }
        },
        {"prior": {"kind": "geometric", "alpha": 1e-300, "beta": 1e8}},
        {"potential": {"kind": "gaussian_per_key", "rank": 16}},
    ],
)
def test_the_last_numbers_that_are_taken_give_a_finite_prior(parts):
    model = resolve(attention(**parts)).model
    assert isinstance(model, Transformer)
    module, x = made(model.attention, width=16, heads=2), torch.randn(2, 9, 16, requires_grad=True)
    found = module(x, Sites(torch.arange(9)))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert found.isfinite().all()
    assert gradient.isfinite().all()
