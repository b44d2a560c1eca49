"""What a trained network attends to, where the tokens that tell a target are known."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.models.attention.observed import Look, has_edges, observed

ROWS = 256
"""Rows that are looked at at once."""
Features = Float[Tensor, "rows features"]


def attention_metrics(
    model: nn.Module,
    forward: Callable[[Features], None],
    features: Features,
    cause: Int[np.ndarray, "rows causes"],
) -> dict[str, float]:
    """attention_on_near_cause, attention_on_far_cause, keys_visited; nothing of a network without edges between
    tokens.

    The first two: mean share of the last query's weights that its causes have in what the value averages, in the head
    of the layer where their sum is largest. The third: mean number of keys that a query looks at, over rows, layers,
    heads and queries.
    """
    if not has_edges(model):
        return {}
    masses, visited = [], []
    for rows, places in zip(features.split(ROWS), torch.from_numpy(cause).split(ROWS), strict=True):
        with torch.no_grad(), observed(model) as looks:
            forward(rows)
            masses.append(torch.stack([_mass(look, places) for look in looks]).cpu())
            visited.append(torch.stack([look.posterior.visited.float().mean() for look in looks]).mean())
    by_head = torch.cat(masses, dim=1).mean(1).flatten(0, 1)
    found = by_head[by_head.sum(-1).argmax()].tolist()
    names = ("attention_on_near_cause", "attention_on_far_cause")
    shares = np.array([len(part) for part in features.split(ROWS)]) / len(features)
    mean_visited = float(shares @ torch.stack(visited).cpu().numpy())
    return dict(zip(names[: len(found)], found, strict=True)) | {"keys_visited": mean_visited}


def _mass(look: Look, places: Int[Tensor, "rows causes"]) -> Float[Tensor, "rows heads causes"]:
    """Share of the causes in what the last query gets."""
    shares = look.shares()[:, :, -1]
    chosen = places.to(shares.device)[:, None].expand(-1, shares.shape[1], -1)
    return shares.gather(-1, chosen)
