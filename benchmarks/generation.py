"""Generation: cached logits against those of the whole text, and tokens per second against two other ways.

Speed is that of the character model of the CPU size (4 blocks, 4 heads, width 128, context 64), its weights as they
are drawn: recomputation reads the whole text again for each token; the loop by hand is written for this one network
alone, on the same weights, says the greedy token and nothing of its probability. All three are greedy, in one process,
and the median over rounds in which each has its turn.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from measured import Measured, arguments, present
from torch import Tensor, nn
from torch.nn import functional

from precisionflow.config import attention as kinds
from precisionflow.config.base import members_of
from precisionflow.config.networks import Transformer
from precisionflow.generation.cache import Cached
from precisionflow.generation.generate import generate
from precisionflow.generation.sample import Greedy
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

VOCABULARY, CONTEXT, LONG = 65, 64, 512
BLOCKS, HEADS, WIDTH = 4, 4, 128
ROUNDS = 7
PRIORS: tuple[kinds.Prior, ...] = (
    kinds.Causal(),
    kinds.Window(before=16),
    kinds.Product(of=(kinds.Causal(), kinds.Relative(), kinds.Decay(), kinds.Absolute())),
)
CPU = torch.device("cpu")


def network(attention: kinds.Attention, *, blocks: int = BLOCKS) -> TokenNetwork:
    """A character model with every weight at work."""
    torch.manual_seed(0)
    config = Transformer(blocks=blocks, heads=HEADS, width=WIDTH, attention=attention, zero_projections=False)

    def readout(norm: nn.Module, embedding: nn.Embedding, last: Callable[[int, int], nn.Linear]) -> nn.Module:
        return TokenReadout(norm, embedding, last, classes=VOCABULARY)

    return transformer(config, vocabulary=VOCABULARY, context=CONTEXT, readout=readout).eval()


def attentions() -> Iterator[kinds.Attention]:
    """Every potential with a prior of each kind, and every kind of value and of edges with dot products."""
    fields = kinds.Attention.model_fields
    potentials, values = (members_of(fields[part].annotation) for part in ("potential", "value"))
    for potential, prior in product(potentials, PRIORS):
        yield kinds.Attention(potential=potential(), prior=prior)
    for prior in PRIORS:
        yield from (kinds.Attention(prior=prior, value=value()) for value in values[1:])
        yield kinds.Attention(prior=prior, edges=kinds.Independent())
    yield kinds.Attention(prior=kinds.Geometric(), edges=kinds.Expanding())


@torch.inference_mode()
def largest_difference(attention: kinds.Attention) -> float:
    """Between logits under way, after a prompt token by token, and logits of the whole text."""
    made = network(attention, blocks=2)
    text = torch.randint(VOCABULARY, (2, CONTEXT))
    cached = Cached(made, tokens=CONTEXT, device=CPU)
    found = [cached(piece) for piece in text.split([20] + [1] * (CONTEXT - 20), dim=1)]
    return float((torch.cat(found, dim=1) - made(text)[:, 19:]).abs().max())


def ours(made: TokenNetwork, prompt: Tensor, tokens: int) -> list[int]:
    """By the package, with each token's log probability and entropy."""
    prompts = [prompt[0].numpy().astype(np.int32)]
    found = generate(made, prompts, tokens=tokens, choice=Greedy(), seed=0, device=CPU)
    return [token.id for token in found]


@torch.inference_mode()
def recomputed(made: TokenNetwork, prompt: Tensor, tokens: int) -> list[int]:
    """The whole text for each token."""
    text = prompt
    for _ in range(tokens):
        text = torch.cat([text, made(text)[:, -1:].argmax(-1)], dim=1)
    return text[0, prompt.shape[1] :].tolist()


@torch.inference_mode()
def by_hand(made: TokenNetwork, prompt: Tensor, tokens: int) -> list[int]:
    """A plain loop for this network: dot products, rotary positions, normed queries and keys, squared ReLU."""
    weights = dict(made.named_parameters())
    stop, head = prompt.shape[1] + tokens, WIDTH // HEADS
    angle = torch.arange(stop)[:, None] * 10_000.0 ** -torch.arange(0, 1, 2 / head)
    cosine, sine = angle.cos(), angle.sin()
    keys, values = torch.zeros(2, BLOCKS, 1, HEADS, stop, head)
    written, new, start = [], prompt, 0
    while True:
        end = start + new.shape[1]
        x = functional.embedding(new, weights["layers.0.tokens.weight"])
        for block in range(BLOCKS):
            at, ff = f"layers.{2 * block + 1}.", f"layers.{2 * block + 2}."
            y = functional.rms_norm(x, (WIDTH,), weights[at + "norm.weight"])
            potential = at + "branch.potential.queries_keys."
            both = functional.linear(y, weights[potential + "weight"], weights[potential + "bias"])
            both = both.view(1, -1, 2 * HEADS, head).transpose(1, 2)
            both = functional.rms_norm(both, (head,)) * weights[potential + "norm.gain"]
            first, second = both.chunk(2, dim=-1)
            c, s = cosine[start:end], sine[start:end]
            both = torch.cat([first * c - second * s, first * s + second * c], dim=-1)
            queries, keys[block, :, :, start:end] = both.chunk(2, dim=1)
            value = at + "branch.value.values."
            v = functional.linear(y, weights[value + "weight"], weights[value + "bias"])
            values[block, :, :, start:end] = v.view(1, -1, HEADS, head).transpose(1, 2)
            mixed = functional.scaled_dot_product_attention(
                queries, keys[block, :, :, :end], values[block, :, :, :end], is_causal=start == 0
            )
            mixed = mixed.transpose(1, 2).flatten(-2)
            x = x + functional.linear(
                mixed, weights[at + "branch.mix.weight"], weights[at + "branch.mix.bias"]
            )
            y = functional.rms_norm(x, (WIDTH,), weights[ff + "norm.weight"])
            y = functional.linear(y, weights[ff + "branch.0.weight"], weights[ff + "branch.0.bias"])
            y = functional.relu(y).square()
            x = x + functional.linear(y, weights[ff + "branch.2.weight"], weights[ff + "branch.2.bias"])
        x = functional.rms_norm(x[:, -1:], (WIDTH,), weights["readout.0.weight"])
        new = functional.linear(x, weights["readout.1.weight"], weights["readout.1.bias"]).argmax(-1)
        written.append(int(new))
        start = end
        if len(written) == tokens:
            return written


def seconds(ways: Sequence[Callable[[], list[int]]], *, rounds: int = ROUNDS) -> list[float]:
    """Median seconds of each way; ValueError where they do not write the same."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        told = []
        for way, of_it in zip(ways, taken, strict=True):
            start = time.process_time()
            told.append(way())
            of_it.append(time.process_time() - start)
        if any(other != told[0] for other in told):
            raise ValueError("two ways wrote unlike texts")
    return [statistics.median(of_it) for of_it in taken]


def results() -> list[Measured]:
    """Every measure with its bar."""
    differences = {attention: largest_difference(attention) for attention in attentions()}
    made, prompt = network(kinds.Attention()), torch.randint(VOCABULARY, (1, 8))
    short, long = CONTEXT - 8, LONG - 8
    here, hand = seconds([lambda: ours(made, prompt, short), lambda: by_hand(made, prompt, short)])
    far, again = seconds([lambda: ours(made, prompt, long), lambda: recomputed(made, prompt, long)], rounds=3)
    return [
        Measured(
            f"largest difference of logits, {len(differences)} attentions",
            max(differences.values()),
            "",
            1e-5,
        ),
        Measured("context 64: time over that of a loop by hand", here / hand, "", 1 / 0.8),
        Measured("context 64: tokens a second", short / here, "1/s"),
        Measured("context 64: tokens a second of the loop by hand", short / hand, "1/s"),
        Measured(f"{LONG} tokens: time over that of recomputation", far / again, "", 0.1),
        Measured(f"{LONG} tokens: tokens a second", long / far, "1/s"),
        Measured(f"{LONG} tokens: tokens a second of recomputation", long / again, "1/s"),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = arguments(__doc__).parse_args()
    present(results(), given.json)
