"""Cheaper precisions of every key: time, memory and loss of each against the plain form and the dot product.

Time and memory are those of a training step of the character model of the CPU size (4 blocks, 4 heads, width 128,
context 64, batch 12): medians over rounds in which each form has its turn, over the dot product's; memory is what the
forward pass keeps for the backward pass. Loss is that of a smaller model (2 blocks, 2 heads, width 48) on 2-grams of 6
symbols, of which a tenth are outliers, after `--steps` steps, above that of the exact predictor, on sequences that none
was trained on. Differences from the plain form are paired over the seeds, ± half of the 95 % interval.
"""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from measured import Measured, arguments, present, with_interval
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from precisionflow.config import attention as kinds
from precisionflow.config.networks import Transformer
from precisionflow.config.synthetic import Ngrams
from precisionflow.data.sources.synthetic import open_synthetic
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

SOURCE = Ngrams(symbols=6, order=2, outliers=0.1)
ROUNDS, TESTED, BATCH, RATE = 15, 1_000, 64, 3e-3


class Form(NamedTuple):
    """A way to make precisions cheaper."""

    name: str
    potential: kinds.Potential
    recompute: bool = False
    bfloat16: bool = False

    def around(self) -> AbstractContextManager[object]:
        """What a forward pass runs in."""
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def network(self, *, blocks: int, heads: int, width: int, symbols: int, context: int) -> TokenNetwork:
        """A network for sequences of symbols."""
        described = Transformer(
            blocks=blocks,
            heads=heads,
            width=width,
            attention=kinds.Attention(potential=self.potential),
            recompute=self.recompute,
        )

        def readout(
            norm: nn.Module, embedding: nn.Embedding, last: Callable[[int, int], nn.Linear]
        ) -> nn.Module:
            return TokenReadout(norm, embedding, last, classes=symbols)

        return transformer(described, vocabulary=symbols, context=context, readout=readout)


FORMS = (
    Form("dot product", kinds.DotProduct()),
    Form("precision of every key", kinds.GaussianPerKey()),
    Form("rank 8", kinds.GaussianPerKey(rank=8)),
    Form("rank 1", kinds.GaussianPerKey(rank=1)),
    Form("shared by all layers", kinds.GaussianPerKey(shared=True)),
    Form("15 levels", kinds.GaussianPerKey(levels=15)),
    Form("3 levels", kinds.GaussianPerKey(levels=3)),
    Form("recomputed", kinds.GaussianPerKey(), recompute=True),
    Form("bfloat16", kinds.GaussianPerKey(), bfloat16=True),
    Form("dot product, bfloat16", kinds.DotProduct(), bfloat16=True),
)
BASELINE, PLAIN = FORMS[0].name, FORMS[1].name
LEARNING = [form for form in FORMS if not form.recompute]
"""Forms that learn otherwise than the plain one; what is computed again is the same, bit by bit (tested)."""


def step(form: Form, network: nn.Module, tokens: Tensor, target: Tensor) -> Tensor:
    """The loss of a batch, its gradients found."""
    network.zero_grad()
    with form.around():
        loss = cross_entropy(network(tokens), target).mean()
    loss.backward()
    return loss.detach()


def kept(form: Form, network: nn.Module, tokens: Tensor, target: Tensor) -> int:
    """Bytes that a forward pass has allocated and not freed when it ends."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen, form.around():
        loss = cross_entropy(network(tokens), target).mean()
    loss.backward()
    return sum(event.self_cpu_memory_usage for event in seen.key_averages())


def costs() -> list[Measured]:
    """Time and memory of a training step over those of the dot product."""
    torch.manual_seed(0)
    tokens, target = torch.randint(65, (2, 12, 64))
    networks = [form.network(blocks=4, heads=4, width=128, symbols=65, context=64) for form in FORMS]
    taken: list[list[float]] = [[] for _ in FORMS]
    for _ in range(ROUNDS):
        for form, network, of_it in zip(FORMS, networks, taken, strict=True):
            start = time.process_time()
            step(form, network, tokens, target)
            of_it.append(time.process_time() - start)
    seconds = [median(of_it) for of_it in taken]
    memory = [kept(form, network, tokens, target) for form, network in zip(FORMS, networks, strict=True)]
    found = []
    for form, of_time, of_memory in zip(FORMS, seconds, memory, strict=True):
        found.append(Measured(f"{form.name}: time over the dot product", of_time / seconds[0], ""))
        found.append(Measured(f"{form.name}: memory over the dot product", of_memory / memory[0], ""))
    return found


def excess(form: Form, *, seed: int, steps: int) -> float:
    """Nats above the exact predictor, after training on sequences of which none is seen twice."""
    source = open_synthetic(SOURCE)
    train, test = (
        source.draw(rows, np.random.default_rng([seed, part]), False)
        for part, rows in enumerate((steps * BATCH, TESTED))
    )
    torch.manual_seed(seed)
    network = form.network(
        blocks=2, heads=2, width=48, symbols=len(source.tokens), context=train.tokens.shape[1]
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    ids, classes = torch.from_numpy(train.tokens[..., 0]).long(), torch.from_numpy(train.target).long()
    for batch in range(0, len(ids), BATCH):
        step(form, network, ids[batch : batch + BATCH], classes[batch : batch + BATCH])
        optimiser.step()
        schedule.step()
    with torch.inference_mode(), form.around():
        said = cross_entropy(
            network(torch.from_numpy(test.tokens[..., 0]).long()), torch.from_numpy(test.target).long()
        )
    return float(said.mean()) - test.optimal_nll


def losses(*, seeds: int, steps: int) -> list[Measured]:
    """Excess of the two that all are compared with, and what each has above the plain form."""
    every = {form.name: [excess(form, seed=seed, steps=steps) for seed in range(seeds)] for form in LEARNING}
    found = []
    for name in (BASELINE, PLAIN):
        found += with_interval(f"{name}: loss above the exact predictor", every[name], "nats")
    for name, of_seeds in every.items():
        if name != PLAIN:
            apart = [one - plain for one, plain in zip(of_seeds, every[PLAIN], strict=True)]
            found += with_interval(f"{name}: loss less that of the plain precision", apart, "nats")
    return found


def main() -> None:
    """Print all measures."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    present([*costs(), *losses(seeds=given.seeds, steps=given.steps)], given.json)


if __name__ == "__main__":
    main()
