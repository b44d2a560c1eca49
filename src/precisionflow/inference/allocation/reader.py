"""A reader of patches: scorers, an allocation of tokens, an encoder of what they show, the class of the figure."""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.config import Experiment
from precisionflow.config.allocation import PatchReader, Refining
from precisionflow.config.drawn_tables import DrawnScenes
from precisionflow.config.tasks import Allocation
from precisionflow.inference.allocation.balance import Fused, precision_loss
from precisionflow.inference.allocation.budget import Bounds, Whole
from precisionflow.inference.allocation.encoders import encoder
from precisionflow.inference.allocation.patches import Kept, Patches, cut
from precisionflow.inference.allocation.refine import ReadOn
from precisionflow.inference.allocation.scorers import Coupling, Information, Query, Salience, Summary, told
from precisionflow.inference.allocation.shares import Scene, Shared, sharing
from precisionflow.inference.allocation.texture import CHANNELS, Images, texture
from precisionflow.inference.allocation.utility import Each, Utility
from precisionflow.models.likelihoods.allocation import Read
from precisionflow.models.networks.layered import Layered
from precisionflow.records.cards import DatasetCard

Numbers = Float[Tensor, "images numbers"]
"""The patch that is asked for, the query, then red, green and blue of all pixels, row before column."""
FEW = 1 / 64
"""Ratio of precisions at the start: so many tokens tell what doubles the precision."""
START = 20.0
"""Weight of a patch at the start, in nats."""
LEFT_OUT = 0.1
"""Standard deviation of what tokens leave out of a pixel, as stated at the start."""
BESIDE = 3
"""Numbers of a patch that are told beside its features."""
MOST_NUMBERS = 2**25
"""Of the summaries that are kept."""


class Parts(NamedTuple):
    """The numbers of images, taken apart."""

    asked: Int[Tensor, "images"]
    query: Query
    images: Images

    @classmethod
    def of(cls, numbers: Numbers, source: DrawnScenes) -> "Parts":
        edge, first = source.patches * source.patch, 1 + source.colours
        images = numbers[:, first:].reshape(-1, 3, edge, edge)
        return cls(numbers[:, 0].round().long(), numbers[:, 1:first], images)

    @staticmethod
    def check(
        numbers: Float[np.ndarray, "images numbers"], source: DrawnScenes, names: Sequence[str]
    ) -> None:
        """ValueError for a patch that there is not and for a pixel that is no colour; `names` are the columns'."""
        asked, first, last = numbers[:, :1], 1 + source.colours, source.patches**2 - 1
        no_patch = (asked < 0) | (asked > last) | (asked != asked.round())
        no_colour = (numbers[:, first:] < 0) | (numbers[:, first:] > 1)
        for bad, start, said in (
            (no_patch, 0, f"give the number of a patch, 0 to {last}"),
            (no_colour, first, "a pixel's red, green or blue lies between 0 and 1"),
        ):
            for row, column in np.argwhere(bad):
                name, given = names[start + column], numbers[row, start + column]
                raise ValueError(f"features, row {row}, column {name!r}: given {given:g}; {said}")


class Summaries:
    """Summaries of the patches of images; nothing of them is learned, so those of images seen before are kept.

    Where they would be more than `MOST_NUMBERS` all are forgotten: a server sees no end of images.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.kept: dict[bytes, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Images) -> tuple[Summary, Int[Tensor, "images"]]:
        """The summaries, and a number of each image."""
        pixels = images.detach().cpu().contiguous().numpy()
        keys = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels]
        new = {key: index for index, key in enumerate(keys) if key not in self.kept}
        if new:
            if (len(self.kept) + len(new)) * 2 * len(CHANNELS) * self._patches(images) > MOST_NUMBERS:
                self.kept, new = {}, {key: index for index, key in enumerate(keys)}
            seen = Summary.of(texture(images[list(new.values())].detach()), self.side)
            self.kept |= dict(zip(new, zip(seen.mean, seen.entropy, strict=True), strict=True))
        mean, entropy = (torch.stack(of) for of in zip(*(self.kept[key] for key in keys), strict=True))
        numbers = torch.tensor([int.from_bytes(key[:7], "big") for key in keys])
        return Summary(mean, entropy), numbers

    def _patches(self, images: Images) -> int:
        return (images.shape[-2] // self.side) * (images.shape[-1] // self.side)


class Scorers(nn.Module):
    """Weight and precisions of every patch from its summary and the query."""

    def __init__(self, config: PatchReader, *, query: int) -> None:
        super().__init__()
        self.config = config
        self.information = Information()
        self.salience = Salience(query)
        self.coupling = Coupling(query)
        self.fused = Fused(config.information + config.salience + config.coupling)
        # of one number, not none of its axes: DeepSpeed sends no parameter without an axis
        self.log_scale = nn.Parameter(torch.tensor([START]).log())
        self.log_ratio = nn.Parameter(torch.tensor([FEW]).log())
        self.prior_precision, self.token_precision = (nn.Linear(len(CHANNELS), 1) for _ in range(2))
        for head in (self.prior_precision, self.token_precision):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, seen: Summary, query: Query) -> tuple[Each, Utility, Each]:
        """ln w of every patch, its utility, and ln p(patch | query)."""
        attended = self.coupling(seen, query)
        scores = [
            score
            for wanted, score in (
                (self.config.information, self.information(seen)),
                (self.config.salience, self.salience(seen, query)),
                (self.config.coupling, told(attended)),
            )
            if wanted
        ]
        log_weight = self.fused(torch.stack(scores, dim=-1))
        utility = Utility.of_precisions(
            (log_weight + self.log_scale).exp(),
            prior=self._precision(self.prior_precision(seen.entropy), "prior"),
            token=self.log_ratio.exp() * self._precision(self.token_precision(seen.mean), "token"),
        )
        return log_weight, utility, attended

    def _precision(
        self, log: Float[Tensor, "images patches 1"], whose: str
    ) -> Float[Tensor, "images patches"]:
        differs = getattr(self.config.allocation, "ratio", "both") in ("both", whose)
        return (log[..., 0] if differs else torch.zeros_like(log[..., 0])).exp()


class Sureness(nn.Module):
    """ln tau of what the tokens of a patch leave out of a pixel, from the patch's features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features))
        self.log_precision = nn.Parameter(torch.tensor([-2 * math.log(LEFT_OUT)]))

    def forward(self, features: Float[Tensor, "images patches features"]) -> Each:
        return self.log_precision + features @ self.weight


class Readings:
    """Readings of the patches of images at several numbers of tokens, each with what it states of its precision."""

    def __init__(self, reader: "Reader", patches: Patches) -> None:
        self.reader = reader
        self.patches = patches
        self.losses: list[Each] = []
        """(tau e^2 - ln tau) / 2 of every reading."""

    def over(self, log_weight: Each) -> ReadOn:
        """tau / w of every patch after so many tokens; it teaches the stated precision, not the features."""

        def read(tokens: Whole) -> Each:
            assert self.reader.sureness is not None, "a refinement states precisions"
            with torch.no_grad():
                shown = self.reader.kept(self.patches, tokens)
                features = self.reader.encoder(self.patches, tokens)
                error = (self.patches - shown).square().mean((-2, -1)).sqrt()
            log_precision = self.reader.sureness(features)
            self.losses.append(precision_loss(error, log_precision))
            return (log_precision - log_weight).detach().exp()

        return read

    def loss(self) -> Each | float:
        """Mean over the readings; 0 of none."""
        return torch.stack(self.losses).mean(0) if self.losses else 0.0


class Reader(nn.Module):
    """Numbers of images to the features of their patches, and the complexity of the allocation behind them."""

    def __init__(self, config: PatchReader, source: DrawnScenes) -> None:
        super().__init__()
        self.config, self.source = config, source
        self.bounds = Bounds(config.lowest, config.highest)
        self.share = sharing(config.allocation)
        self.scorers = Scorers(config, query=source.colours)
        self.kept = Kept(source.patch)
        self.summaries = Summaries(source.patch)
        self.encoder = encoder(config, source.patch)
        self.sureness = Sureness(config.hidden) if isinstance(config.allocation, Refining) else None

    def forward(self, numbers: Numbers) -> Float[Tensor, "images patches features"]:
        """Features of every patch, and `BESIDE` them as the last ones ln p(patch | query), the complexity of the image
        and the loss of the patch's stated precision."""
        attended, shared, readings = self._shared(Parts.of(numbers, self.source))
        features = self.encoder(readings.patches, shared.tokens)
        cost = shared.complexity[:, None].to(features.dtype).expand_as(attended)
        unsure = torch.zeros_like(attended) + readings.loss()
        return torch.cat([features, torch.stack([attended, cost, unsure], dim=-1)], dim=-1)

    def tokens(self, numbers: Numbers) -> Float[Tensor, "images patches"]:
        """Whole tokens of every patch."""
        return self._shared(Parts.of(numbers, self.source))[1].tokens

    def _shared(self, parts: Parts) -> tuple[Tensor, Shared, Readings]:
        seen, seeds = self.summaries(parts.images)
        readings = Readings(self, cut(parts.images, self.source.patch))
        log_weight, utility, attended = self.scorers(seen, parts.query)
        scene = Scene(log_weight, utility, parts.asked, seeds, readings.over(log_weight))
        return attended, self.share(scene, self.config.budget, self.bounds), readings


class Readout(nn.Linear):
    """p(class) = sum_i p(patch i | query) p(class | patch i): which patch is asked for is summed out."""

    def forward(self, features: Float[Tensor, "images patches features"]) -> Read:  # type: ignore[override]
        told = super().forward(features[..., :-BESIDE]).log_softmax(-1)
        attended, cost, unsure = features[..., -BESIDE:].unbind(-1)
        return Read((told + attended[..., None]).logsumexp(1), cost[:, 0], unsure.mean(-1))


def patch_reader(experiment: Experiment, card: DatasetCard) -> Layered:
    """inputs: Float "images numbers"; output: logits and complexity."""
    config, task = experiment.model, experiment.task
    assert isinstance(config, PatchReader)
    assert isinstance(task, Allocation)
    readout = Readout(config.hidden, len(card.class_names))
    return Layered(
        [Reader(config, task.source)], readout, states=[(task.source.patches**2, config.hidden + BESIDE)]
    )
