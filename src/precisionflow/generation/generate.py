"""Texts that a network writes after prompts, token by token."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int, Int32
from torch import Tensor

from precisionflow.generation.cache import Cached
from precisionflow.generation.sample import Choice, uniforms
from precisionflow.models.likelihoods.categorical import log_probabilities
from precisionflow.models.networks.layered import TokenNetwork

Prompt = Int32[np.ndarray, "_tokens"]
ROWS = 32
"""Prompts that are continued at once."""


class Token(NamedTuple):
    """A token that was written."""

    prompt: int
    """Index of its prompt."""
    id: int
    log_probability: float
    """Its logarithm in the network's own distribution, before any truncation, in nats."""
    entropy: float
    """Entropy of that distribution, in nats."""


def generate(
    network: TokenNetwork,
    prompts: Sequence[Prompt],
    *,
    tokens: int,
    choice: Choice,
    seed: int,
    factor: float = 1.0,
    device: torch.device,
) -> Iterator[Token]:
    """`tokens` tokens after each prompt, those of one prompt in their order.

    What follows a prompt does not depend on the prompts beside it, of any lengths: all rows of a batch are at the same
    position at each step, where a longer prompt still tells its own tokens while a shorter one is continued. `factor`
    is a temperature that belongs to the network's distribution, such as a fitted one.
    """
    drawn = uniforms(prompts, count=tokens, seed=seed)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), ROWS):
        batch = order[start : start + ROWS]
        chosen, uniform = [prompts[index] for index in batch], drawn[batch]
        for written in _continued(
            network, chosen, uniform, places=batch, choice=choice, factor=factor, device=device
        ):
            yield from written


def _continued(
    network: TokenNetwork,
    prompts: Sequence[Prompt],
    uniform: Float64[Tensor, "rows tokens"],
    *,
    places: Sequence[int],
    choice: Choice,
    factor: float,
    device: torch.device,
) -> Iterator[list[Token]]:
    """One batch of prompts in the order of their lengths, at `places` of all; what is written at each position."""
    lengths, tokens = [len(prompt) for prompt in prompts], uniform.shape[1]
    shortest, stop = lengths[0], lengths[-1] + tokens
    given = torch.zeros(len(prompts), lengths[-1], dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        given[row, : len(prompt)] = torch.from_numpy(prompt.astype(np.int64))
    given, told = given.to(device), torch.tensor(lengths, device=device)
    draws = _of_positions(uniform.to(device), told - shortest)
    with torch.inference_mode():
        cached = Cached(network, tokens=stop, device=device)
    new = given[:, :shortest]
    for position, draw in enumerate(draws, start=shortest):
        with torch.inference_mode():
            log_p = log_probabilities(cached(new))[:, 0]
            if factor != 1:
                log_p = (log_p / factor).log_softmax(-1)
            new = choice(log_p, draw).unsqueeze(1)
            stated, entropy = log_p.gather(1, new).tolist(), torch.linalg.vecdot(log_p.exp(), log_p).tolist()
            written = zip(places, lengths, new.tolist(), stated, entropy, strict=True)
            if position < lengths[-1]:
                new = torch.where((told > position)[:, None], given[:, position, None], new)
        yield [
            Token(place, chosen, said, -negative_entropy)
            for place, length, (chosen,), (said,), negative_entropy in written
            if length <= position < length + tokens
        ]


def _of_positions(
    uniform: Float64[Tensor, "rows tokens"], later: Int[Tensor, "rows"]
) -> Sequence[Float64[Tensor, "rows"]]:
    """Those of each position from the shortest prompt's end on; those of a row begin so many positions `later`."""
    rows, tokens = uniform.shape
    longest = int(later.max())
    shifted = uniform.new_zeros(rows, tokens + longest)
    return shifted.scatter(1, later[:, None] + torch.arange(tokens, device=later.device), uniform).unbind(1)
