"""Expanding attention in a language model at context 1,024: keys visited against loss.

A character model (2 blocks, 4 heads, width 64) of the English text that scikit-learn brings, trained on windows of
1,024 characters. With the geometric prior, whose parameter is integrated out, every query visits all keys before it.
The same weights then predict the last tenth of the text with windows that grow until the posterior mass outside is at
most a tolerance. Beside them the causal prior, and windows of fixed widths on the weights of the geometric one. Losses
are means over windows of the text; +- is half of the 95 % interval over them of the difference from all keys.
"""

from collections.abc import Callable

import numpy as np
import torch
from measured import Measured, arguments, present, with_interval
from torch import Tensor, nn

from precisionflow.config import attention as kinds
from precisionflow.config.networks import Transformer
from precisionflow.config.tokens import Characters
from precisionflow.data.sources.scikit_learn_text import open_scikit_learn_text
from precisionflow.data.tokens.running import fitted_running, ids_of
from precisionflow.models.attention.observed import observed
from precisionflow.models.likelihoods.categorical import cross_entropy
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TokenReadout, transformer

CONTEXT, BATCH, RATE = 1024, 2, 5e-3
GEOMETRIC = kinds.Geometric(alpha=1.0, beta=16.0)
TOLERANCES = (0.3, 0.1, 0.03, 0.01, 0.001)
WIDTHS = (16, 64, 256)


def text() -> tuple[Tensor, Tensor, int]:
    """Ids of the first nine tenths of the text and of the last one, and the size of the vocabulary."""
    whole = b"".join(open_scikit_learn_text().chunks()).decode()
    tokeniser = fitted_running(Characters(), [whole.encode()])
    ids = torch.from_numpy(ids_of(tokeniser, whole).astype(np.int64))
    cut = len(ids) * 9 // 10
    return ids[:cut], ids[cut:], int(ids.max()) + 1


def network(attention: kinds.Attention, *, vocabulary: int) -> TokenNetwork:
    """The character model with this attention."""
    torch.manual_seed(0)

    def readout(norm: nn.Module, embedding: nn.Embedding, last: Callable[[int, int], nn.Linear]) -> nn.Module:
        return TokenReadout(norm, embedding, last, classes=vocabulary)

    config = Transformer(blocks=2, heads=4, width=64, attention=attention)
    return transformer(config, vocabulary=vocabulary, context=CONTEXT, readout=readout)


def trained(model: TokenNetwork, ids: Tensor, *, steps: int) -> TokenNetwork:
    """By cross-entropy, on windows that begin anywhere."""
    random = torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        starts = torch.randint(len(ids) - CONTEXT, (BATCH, 1), generator=random)
        windows = ids[starts + torch.arange(CONTEXT + 1)]
        loss = cross_entropy(model(windows[:, :-1]), windows[:, 1:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model


@torch.inference_mode()
def told(model: TokenNetwork, ids: Tensor, *, windows: int) -> tuple[list[float], float]:
    """Nats a character of each window, and mean keys of a query."""
    losses, keys = [], []
    for start in range(0, windows * CONTEXT, CONTEXT):
        window = ids[None, start : start + CONTEXT + 1]
        with observed(model) as looks:
            raw = model(window[:, :-1])
        losses.append(float(cross_entropy(raw, window[:, 1:]).mean()))
        keys += [float(look.posterior.visited.float().mean()) for look in looks]
    return losses, float(np.mean(keys))


def main() -> None:
    """Print keys and loss of each."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--windows", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    ids, test, vocabulary = text()
    causal = trained(network(kinds.Attention(), vocabulary=vocabulary), ids, steps=given.steps)
    geometric = trained(
        network(kinds.Attention(prior=GEOMETRIC), vocabulary=vocabulary), ids, steps=given.steps
    )
    others = {
        f"windows until {tolerance:g} is outside": kinds.Attention(
            prior=GEOMETRIC, edges=kinds.Expanding(tolerance=tolerance)
        )
        for tolerance in TOLERANCES
    } | {
        f"the last {width} keys": kinds.Attention(
            prior=kinds.Product(of=(GEOMETRIC, kinds.Window(before=width - 1)))
        )
        for width in WIDTHS
    }
    every, keys = told(geometric, test, windows=given.windows)
    uniform, _ = told(causal, test, windows=given.windows)
    found = [
        Measured("all keys, geometric prior: loss", float(np.mean(every)), "nats"),
        Measured("all keys, geometric prior: keys visited", keys, "keys"),
        Measured("all keys, causal prior: loss", float(np.mean(uniform)), "nats"),
    ]
    for name, attention in others.items():
        model = network(attention, vocabulary=vocabulary)
        model.load_state_dict(geometric.state_dict())
        losses, keys = told(model, test, windows=given.windows)
        above = [one - of_all for one, of_all in zip(losses, every, strict=True)]
        found.append(Measured(f"{name}: keys visited", keys, "keys"))
        found += with_interval(f"{name}: loss above that of all keys", above, "nats")
    present(found, given.json)


if __name__ == "__main__":
    main()
