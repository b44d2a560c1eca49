"""Scorers of patches as factors: how much a patch holds, how it stands out, what the query tells of it."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from precisionflow.inference.allocation.balance import standardised
from precisionflow.inference.allocation.checks import require_axes, require_finite
from precisionflow.inference.allocation.patches import Patches, cut
from precisionflow.inference.allocation.texture import CHANNELS, RANGES, Texture

Scores = Float[Tensor, "images patches"]
Query = Float[Tensor, "images query"]
BINS = 16
BELOW = 1e-4
"""Of a bin, by which edges lie below round numbers: what is 0 but for rounding, as hues of grey, is in one bin."""
SMALLEST_SPREAD = 1e-6
"""Of a channel over the patches of an image, below which they do not differ."""


class Summary(NamedTuple):
    """What is known of every patch before any of its tokens is read."""

    mean: Float[Tensor, "images patches 13"]
    """Of the texture."""
    entropy: Float[Tensor, "images patches 13"]
    """Of a channel's values, over ln(bins): 0 of a constant, 1 where all bins are as full."""

    @classmethod
    def of(cls, channels: Texture, side: int) -> "Summary":
        """Of the patches of images; ValueError for pixels that are not finite."""
        require_finite("image", channels)
        patches = cut(channels, side)
        return cls(patches.mean(-1), entropies(patches))


def entropies(patches: Patches) -> Float[Tensor, "*rows patches channels"]:
    """-sum p ln p / ln(bins) of each channel's histogram over a patch, with bins as wide over the channel's range.

    p are shares of the patch's pixels, which sum to 1. Values outside the range count to its last bins.
    """
    low, high = patches.new_tensor(RANGES).unbind(-1)
    place = ((patches - low[:, None]) / (high - low)[:, None] * BINS + BELOW).long().clamp(0, BINS - 1)
    rows = place.flatten(0, -2)
    index = rows + BINS * torch.arange(len(rows), device=rows.device)[:, None]
    counts = torch.bincount(index.flatten(), minlength=BINS * len(rows)).view(*place.shape[:-1], BINS)
    share = counts.to(patches.dtype) / patches.shape[-1]
    return torch.special.entr(share).sum(-1) / math.log(BINS)


def standing_out(mean: Float[Tensor, "images patches channels"]) -> Float[Tensor, "images patches channels"]:
    """|m_i - mean of the other patches| over the standard deviation of all: 0 in every channel that does not differ."""
    count = mean.shape[-2]
    others = (mean.sum(-2, keepdim=True) - mean) / max(1, count - 1)
    spread = mean.std(-2, correction=0, keepdim=True)
    differs = (spread > SMALLEST_SPREAD) & (count > 1)
    return torch.where(differs, (mean - others).abs() / torch.where(differs, spread, 1), 0)


class Information(nn.Module):
    """A learned average over channels of a patch's entropies."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = nn.Parameter(torch.zeros(len(CHANNELS)))

    def forward(self, seen: Summary) -> Scores:
        return seen.entropy @ self.channels.softmax(0)


def _check(query: Query, seen: Summary, asked: nn.Linear) -> None:
    """ValueError for a query of another width than the scorer's or with a number that is not finite, and for another
    number of queries than of images."""
    require_axes("query", query, "images", "query")
    require_finite("query", query)
    if len(query) != len(seen.mean):
        raise ValueError(f"query: given {len(query)} for {len(seen.mean)} images; give one for each")
    if query.shape[-1] != asked.in_features:
        raise ValueError(
            f"query: has {query.shape[-1]} numbers, and the scorer takes {asked.in_features}; give as many"
        )


class Salience(nn.Module):
    """How a patch stands out from the others, in the channels that the query asks about."""

    def __init__(self, query: int) -> None:
        super().__init__()
        self.channels = nn.Linear(query, len(CHANNELS))

    def forward(self, seen: Summary, query: Query) -> Scores:
        _check(query, seen, self.channels)
        return (standing_out(seen.mean) @ self.channels(query).softmax(-1)[..., None])[..., 0]


class Coupling(nn.Module):
    """What a query tells about which patch it is of.

    p(i | query) = softmax_i [<query, content_i> / sqrt(width) + <v, standing out_i>]. Contents are of the texture's
    means and entropies, standardised over the patches of an image; v starts at 1 for the two channels of hue. Before
    the query is known any patch is as likely. The estimator of mutual information is that of this model: I(i; query)
    = E[ln p(i | query) + ln N] = ln N - E[H], from 0 to ln N. It is true as far as p is.
    """

    def __init__(self, query: int, width: int = 16) -> None:
        super().__init__()
        self.asked = nn.Linear(query, width)
        self.content = nn.Linear(2 * len(CHANNELS), width)
        self.scale = width**-0.5
        self.hue = nn.Linear(len(CHANNELS), 1, bias=False)
        hues = [name in ("green_red", "blue_yellow") for name in CHANNELS]
        with torch.no_grad():
            self.hue.weight.copy_(torch.tensor([hues]).float())

    def forward(self, seen: Summary, query: Query) -> Float[Tensor, "images patches"]:
        """ln p(i | query)."""
        _check(query, seen, self.asked)
        content = self.content(standardised(torch.cat(seen, dim=-1)))
        asked = (content @ self.asked(query)[..., None])[..., 0] * self.scale
        return (asked + self.hue(standing_out(seen.mean))[..., 0]).log_softmax(-1)


def told(log_probabilities: Scores) -> Scores:
    """ln p(i | query) - ln p(i), in nats, with p(i) = 1 / N: what the query tells for or against each patch."""
    return log_probabilities + math.log(log_probabilities.shape[-1])


def mutual_information(log_probabilities: Scores) -> Float[Tensor, "images"]:
    """sum_i p(i | query) (ln p(i | query) + ln N), in nats; its mean over images estimates I(i; query)."""
    return (log_probabilities.exp() * told(log_probabilities)).sum(-1)
