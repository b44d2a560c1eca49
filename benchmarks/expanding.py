"""Expanding attention against attention to all keys, at 4,096 tokens: keys visited, wall time, loss.

Every token points to one before it, or itself, at a geometric distance of mean 1 / p - 1: it says a name and a
value of its own, and the name of the other with noise. The target is a linear function of the value of the other. Both
attentions are trained alike on short sequences. Full attention is a causal prior by torch's fused kernel.
"""

import math
import statistics
import time
from typing import NamedTuple

import numpy as np
import torch
from measured import Measured, arguments, present
from scipy import stats
from torch import Tensor, nn

from precisionflow.config import attention as config
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.sites import Sites

P = 0.05
CHANNELS, HEADS, TOKENS, TRAINED_AT = 128, 2, 4096, 64
NOISE = 0.2
PRIOR = config.Geometric(alpha=1.0, beta=(1 - P) / P)
ALL_KEYS = config.Attention(prior=PRIOR)
EXPANDING = config.Attention(prior=PRIOR, edges=config.Expanding(step=8, tolerance=0.02))


class Pointers(NamedTuple):
    """Sequences of tokens that point back."""

    tokens: Tensor
    target: Tensor


def draw(sequences: int, tokens: int, random: np.random.Generator) -> Pointers:
    """Distances beyond the first token are cut there."""
    third = CHANNELS // 4
    names = random.standard_normal((sequences, tokens, third))
    values = random.standard_normal((sequences, tokens, third))
    distance = random.geometric(P, size=(sequences, tokens)) - 1
    place = np.maximum(np.arange(tokens) - distance, 0)
    row = np.arange(sequences)[:, None]
    asks = names[row, place] + NOISE * random.standard_normal(names.shape)
    rest = random.standard_normal((sequences, tokens, CHANNELS - 3 * third))
    tokens_of = np.concatenate([names, values, asks, rest], axis=-1)
    target = values[row, place].sum(axis=-1) / math.sqrt(third)
    return Pointers(*(torch.tensor(of, dtype=torch.float32) for of in (tokens_of, target)))


class Network(nn.Module):
    """One attention and a linear readout."""

    def __init__(self, described: config.Attention) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention: Attention = attention(described, width=CHANNELS, heads=HEADS)
        self.readout = nn.Linear(CHANNELS, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        places = tokens.shape[1]
        return self.readout(self.attention(tokens, Sites(torch.arange(places), None, range(places))))[..., 0]


def trained(network: Network, *, steps: int) -> Network:
    """By the mean squared error, on sequences that no other step has."""
    random = np.random.default_rng(1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = draw(16, TRAINED_AT, random)
        loss = (network(batch.tokens) - batch.target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def losses(network: Network, batch: Pointers) -> Tensor:
    """Mean squared error of each sequence."""
    with torch.no_grad():
        found = [network(row[None]) for row in batch.tokens]
    return (torch.cat(found) - batch.target).square().mean(-1)


def visited(network: Network, batch: Pointers) -> tuple[float, float]:
    """Mean keys of a query's window, and of the union of the windows of its block of 128 queries."""
    at = Sites(torch.arange(TOKENS), None, range(TOKENS))
    own, together = [], []
    with torch.no_grad():
        for row in batch.tokens:
            posterior = network.attention.posterior(row[None], at)
            first = torch.arange(TOKENS) + 1 - posterior.visited
            own.append(posterior.visited.float().mean().item())
            ends = torch.arange(0, TOKENS, 128) + 128
            together.append((ends - first.amin((0, 1)).view(-1, 128).amin(1)).float().mean().item())
    return statistics.mean(own), statistics.mean(together)


def seconds(network: Network, tokens: Tensor, *, backward: bool) -> float:
    """Of the attention alone, from queries, keys and values to their mean."""
    module, at = network.attention, Sites(torch.arange(TOKENS), None, range(TOKENS))
    with torch.no_grad():
        queries, keys = (side.clone() for side in module.potential(tokens, at))
        values = module.value(tokens, at).clone()
    for side in (queries, keys, values):
        side.requires_grad_(backward)
    prior = module.prior.log(at, at)
    start = time.perf_counter()
    mixed = module.edges(module.potential.lowering, queries, keys, prior).expectation(values)
    if backward:
        mixed.sum().backward()
    return time.perf_counter() - start


def ratio(ours: Network, full: Network, tokens: Tensor, *, backward: bool, turns: int) -> float:
    """Median over turns of the ratio of both, one after the other."""
    pairs = [[seconds(of, tokens, backward=backward) for of in (ours, full)] for _ in range(turns + 1)]
    return statistics.median(mine / theirs for mine, theirs in pairs[1:])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--sequences", type=int, default=6)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    full = trained(Network(config.Attention()), steps=given.steps)
    ours = trained(Network(EXPANDING), steps=given.steps)
    test = draw(given.sequences, TOKENS, np.random.default_rng(3))  # the settings were chosen on those of 2
    of_full, of_ours = losses(full, test), losses(ours, test)
    above = of_ours - of_full
    interval = stats.t.interval(0.95, given.sequences - 1, above.mean().item(), stats.sem(above))
    low, high = (float(end) for end in interval)
    all_keys = Network(ALL_KEYS)
    all_keys.load_state_dict(ours.state_dict())
    own, together = visited(ours, test)
    tokens = test.tokens[:4]
    times = {
        name: ratio(ours, full, tokens, backward=backward, turns=given.turns)
        for name, backward in (("forward", False), ("forward and backward", True))
    }
    present(
        [
            Measured("mean keys of a window over their expected number, 1 / p", own * P, "1", bar=1.5),
            Measured("mean keys of a window", own, "keys"),
            Measured("mean keys of the windows of a block of 128 queries", together, "keys"),
            *(
                Measured(f"wall time over full attention, {name}", of, "1", bar=0.5)
                for name, of in times.items()
            ),
            Measured("mean squared error, full", of_full.mean().item(), "1"),
            Measured("mean squared error, expanding", of_ours.mean().item(), "1"),
            Measured("error above that of full attention, lower end of 95 %", low, "1", bar=0.0),
            Measured("error above that of full attention, upper end of 95 %", high, "1"),
            Measured(
                "mean squared error, its weights with all keys and q integrated out",
                losses(all_keys, test).mean().item(),
                "1",
            ),
        ],
        given.json,
    )


if __name__ == "__main__":
    main()
