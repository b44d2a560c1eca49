"""Attention to latent nodes against its definition in loops; what padding, order and recomputation change."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from precisionflow.config import attention as kinds
from precisionflow.config.attention import LatentNodes
from precisionflow.config.base import kind_of
from precisionflow.config.networks import Transformer
from precisionflow.models.attention.heads import HeadNorm
from precisionflow.models.attention.iterated.nodes import LatentAttention, latent_attention
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites
from precisionflow.models.networks.groups import parameter_groups
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import PooledReadout, transformer
from tests.oracles import block_slots_step, competing_errors_step

HEADS, WIDTH, NODES, TOKENS = 2, 4, 3, 7
CONFIGS = [
    kinds.GaussianNodes(count=NODES, iterations=2),
    kinds.DotProductNodes(count=NODES, iterations=2),
    kinds.BlockNodes(count=NODES, iterations=2, blocks=2, memories=3),
    kinds.PredictiveCodingNodes(count=NODES, iterations=1, causes=2),
]
EVERY = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: kind_of(type(config)))


def attention(config: LatentNodes) -> LatentAttention:
    torch.manual_seed(0)
    width = HEADS * WIDTH
    made = latent_attention(
        config, width=width, heads=HEADS, norm=HeadNorm(HEADS, WIDTH), rotation=Rotary(WIDTH)
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.double()


def expected_of_head(
    config: LatentNodes, edges: SimpleNamespace, keys: torch.Tensor, nodes: torch.Tensor
) -> torch.Tensor:
    """sum_k p(k | i) z_k of every token, from the definition of the steps and of the posterior."""
    seen = keys / math.sqrt(len(keys))
    match config:
        case kinds.GaussianNodes():
            k = edges.log_precision.exp()[0]

            def posterior(nodes: torch.Tensor) -> torch.Tensor:
                return torch.stack([(-k / 2 * (x - nodes).square().sum(-1)).softmax(0) for x in keys])

            for _ in range(config.iterations):
                p = posterior(nodes)
                sums = [sum(p[j, i] * x for j, x in enumerate(keys)) for i in range(NODES)]
                nodes = torch.stack([of / p[:, i].sum() for i, of in enumerate(sums)])
            p = posterior(nodes)
        case kinds.DotProductNodes() | kinds.BlockNodes():
            memory = edges.memory if config.kind == "block_slots" else torch.zeros(1, 1, WIDTH).double()
            for _ in range(config.iterations):
                nodes = block_slots_step(seen, memory, nodes)
            p = torch.stack([(nodes @ x).softmax(0) for x in seen])
        case kinds.PredictiveCodingNodes():
            given = keys, edges.mean, edges.weights, *edges.log_precision.exp(), edges.mean, nodes
            nodes, shares = competing_errors_step(*given)
            p = shares.T
    return torch.stack([sum(p[i, k] * nodes[k] for k in range(NODES)) for i in range(len(keys))])


@EVERY
def test_a_token_gets_what_it_expects_of_the_nodes(config: LatentNodes) -> None:
    """Head by head; keys have their norm's length and are turned by their places, what is got is turned back."""
    made, y, at = (
        attention(config),
        torch.randn(2, TOKENS, HEADS * WIDTH).double(),
        Sites(torch.arange(TOKENS)),
    )
    nodes, turned = made.nodes, Rotary(WIDTH)
    learned = [
        SimpleNamespace(**{name: of[h] for name, of in nodes.edges.named_parameters()}) for h in range(HEADS)
    ]
    keys = nodes.key(y).unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)
    keys = turned(keys / keys.square().mean(-1, keepdim=True).sqrt() * nodes.norm.gain, at)
    got = torch.stack(
        [
            torch.stack(
                [expected_of_head(config, learned[h], keys[b, h], nodes.start[h]) for h in range(HEADS)]
            )
            for b in range(len(y))
        ]
    )
    got = turned(got, at.mirrored()).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(made(y, at), made.mix(got), rtol=1e-6, atol=1e-6)


def network(config: LatentNodes, **bricks: object) -> TokenNetwork:
    torch.manual_seed(1)
    of = {"blocks": 2, "heads": HEADS, "width": HEADS * WIDTH, "zero_projections": False, "convolution": 3}
    model = Transformer(**of | bricks, attention=config.model_dump())
    assert model.attention == config
    return transformer(model, vocabulary=9, context=TOKENS + 3, readout=partial(PooledReadout, classes=3))


@EVERY
def test_padding_has_no_influence(config: LatentNodes) -> None:
    """Bit by bit whatever it is, and the outputs and gradients are those of the text alone."""
    model, text = network(config).double(), torch.randint(9, (2, TOKENS))
    mask = (torch.arange(TOKENS + 3) < TOKENS).expand(2, -1)
    found = []
    for padding in (0, 8):
        model.zero_grad()
        padded = torch.cat([text, torch.full((2, 3), padding)], dim=1)
        found.append(model(padded, mask))
        found[-1].square().sum().backward()
        gradients = {name: of.grad.clone() for name, of in model.named_parameters()}
    assert torch.equal(*found)
    model.zero_grad()
    alone = model(text)
    alone.square().sum().backward()
    torch.testing.assert_close(found[0], alone, rtol=1e-10, atol=1e-10)
    for name, of in model.named_parameters():
        torch.testing.assert_close(gradients[name], of.grad, rtol=1e-8, atol=1e-8)
    assert all(of.abs().sum() > 0 for of in gradients.values())


@EVERY
def test_it_is_recomputed_as_it_was_and_in_its_groups(config: LatentNodes) -> None:
    text, found = torch.randint(9, (2, TOKENS)), []
    for recompute in (False, True):
        model = network(config, recompute=recompute, convolution=None)
        model(text).square().sum().backward()
        found.append(torch.cat([of.grad.flatten() for of in model.parameters()]))
    assert torch.equal(*found)
    edges = {group for name, group in parameter_groups(model).items() if ".nodes.edges." in name}
    assert edges == ({"distribution"} if config.kind != "dot_product_slots" else set())
    assert parameter_groups(model)["layers.1.branch.nodes.start"] == "attention"


@EVERY
def test_the_mode_of_a_bfloat16_pass_is_inferred_in_float32(config: LatentNodes) -> None:
    """Nodes alone are as in float32 of the same keys."""
    made, at = attention(config).float(), Sites(torch.arange(TOKENS))
    y = torch.randn(2, TOKENS, HEADS * WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        keys, found = made.nodes.key(y), made.nodes(y, at)
    made.nodes.key.forward = lambda _: keys.float()
    torch.testing.assert_close(found, made.nodes(y, at))
