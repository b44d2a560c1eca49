"""Networks that say which pixels of an image are of one object: learned slots, and clusters of each image by itself."""

import math
import warnings
from typing import Protocol, assert_never, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from precisionflow.config.networks import Clusters, Slots
from precisionflow.models.attention.iterated.latent import latent
from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.iterated.slot_attention import SlotAttention
from precisionflow.models.attention.iterated.slots import DotProductSlots, GaussianSlots
from precisionflow.models.networks.layered import Layered
from precisionflow.models.numerics import outside_autocast

Numbers = Float[Tensor, "images numbers"]
"""How many groups an image has, then colour and place of every pixel."""
LogLikelihood = Float[Tensor, "images pixels"]
CHANNELS, COLOUR = 5, 3
"""Numbers of a pixel, and those of its colour, which come first."""
SHARP = 50.0
"""Precision of slots on pixels: clusters of a standard deviation of 0.14, colours and places in [0, 1]."""
STARTS, SETTLED = 10, 100
"""Starts of slots on pixels, and their most steps."""


@runtime_checkable
class Grouping(Protocol):
    """A layer that explains images by groups of pixels."""

    def __call__(self, numbers: Numbers) -> LogLikelihood:
        """log p(colour of each pixel), in nats."""
        ...

    def groups(self, numbers: Numbers) -> Int[Tensor, "images pixels"]:
        """The group of every pixel."""
        ...


class Explainer(nn.Module):
    """Pixels to slots, and each slot to colours and a mask at every place."""

    def __init__(self, config: Slots) -> None:
        super().__init__()
        wide = config.hidden
        self.encoder = nn.Sequential(
            nn.Linear(CHANNELS, wide), nn.ReLU(), nn.Linear(wide, wide), nn.LayerNorm(wide)
        )
        self.start = nn.Parameter(torch.randn(config.count, config.width))
        edges = latent(config.attention, count=config.count, width=config.width)
        self.slots = SlotAttention(wide, config.width, iterations=config.iterations, edges=edges)
        inputs = config.width + CHANNELS - COLOUR
        self.decoder = nn.Sequential(nn.Linear(inputs, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU())
        self.colour_and_mask = nn.Linear(wide, COLOUR + 1)
        self.noise = config.noise

    def forward(self, numbers: Numbers) -> LogLikelihood:
        return self.explained(numbers).logsumexp(1)

    def groups(self, numbers: Numbers) -> Int[Tensor, "images pixels"]:
        """The slot that a pixel is decoded from with the largest probability."""
        return self.explained(numbers).argmax(1)

    def explained(self, numbers: Numbers) -> Float[Tensor, "images slots pixels"]:
        """ln mask_k + ln N(colour; colour_k, noise^2)."""
        pixels = pixels_of(numbers)
        slots = self.slots(self.encoder(pixels), self.start.expand(len(pixels), -1, -1)).slots
        places = pixels[:, None, :, COLOUR:].expand(-1, slots.shape[1], -1, -1)
        wide = slots[:, :, None].expand(-1, -1, pixels.shape[1], -1)
        decoded = self.colour_and_mask(self.decoder(torch.cat([wide, places], dim=-1)))
        colour, mask = decoded.split([COLOUR, 1], -1)
        error = (pixels[:, None, :, :COLOUR] - colour).square().sum(-1)
        return mask[..., 0].log_softmax(1) + log_normal(error, 1 / self.noise**2)


class Clustered(nn.Module):
    """Clusters of the pixels of each image; ln N(colour; mean of the cluster, 1 / precision), in float32."""

    def __init__(self, config: Clusters) -> None:
        super().__init__()
        self.by = config.by
        self.log_precision = nn.Parameter(torch.tensor(math.log(100.0)))
        self.state: Tensor
        self.register_buffer("state", torch.randint(2**31, ()))

    def forward(self, numbers: Numbers) -> LogLikelihood:
        pixels, groups = pixels_of(numbers), self.groups(numbers)
        mine = nn.functional.one_hot(groups).to(pixels.dtype)
        with outside_autocast(numbers.device):
            sums = mine.mT @ pixels[..., :COLOUR]
            means = mine @ (sums / mine.sum(1).clamp(min=1)[..., None])
        error = (pixels[..., :COLOUR] - means).square().sum(-1)
        return log_normal(error, self.log_precision.exp())

    @torch.no_grad()
    def groups(self, numbers: Numbers) -> Int[Tensor, "images pixels"]:
        counts = numbers[:, 0].round().int().tolist()
        with outside_autocast(numbers.device):
            found = [
                self._clusters(pixels, count)
                for pixels, count in zip(pixels_of(numbers), counts, strict=True)
            ]
        return torch.stack(found).to(numbers.device)

    def _clusters(self, pixels: Float[Tensor, "pixels 5"], count: int) -> Int[Tensor, "pixels"]:
        """Those of one image; starts are drawn from its seed, the same at every call."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        state = int(self.state)
        wide = pixels.expand(STARTS, -1, -1)
        match self.by:
            case "k_means":
                kind = KMeans(count, n_init=10, random_state=state)
            case "gaussian_mixture":
                kind = GaussianMixture(count, n_init=3, reg_covar=1e-4, random_state=state)
            case "gaussian_slots":
                return _settled(GaussianSlots(wide, precision=SHARP), pixels, count, state)
            case "dot_product_slots":
                return _settled(DotProductSlots(wide), pixels, count, state)
            case _:
                assert_never(self.by)
        with warnings.catch_warnings():
            # the best start counts, whether or not it stands after the usual number of steps
            warnings.simplefilter("ignore", ConvergenceWarning)
            return torch.from_numpy(np.asarray(kind.fit_predict(pixels.cpu().numpy()), dtype=np.int64))


def _settled(
    model: GaussianSlots | DotProductSlots, pixels: Float[Tensor, "pixels 5"], count: int, seed: int
) -> Int[Tensor, "pixels"]:
    """The slot of every pixel after the best of ten starts at random pixels, by free energy."""
    random = torch.Generator().manual_seed(seed)
    starts = torch.stack([torch.randperm(len(pixels), generator=random)[:count] for _ in range(STARTS)])
    settled = settle(model, pixels[starts], iterations=SETTLED, tolerance=1e-5)
    return model.posterior(settled.state)[int(settled.energies[-1].argmin())].argmax(0)


def pixels_of(numbers: Numbers) -> Float[Tensor, "images pixels 5"]:
    """Colour and place of every pixel."""
    return numbers[:, 1:].unflatten(-1, (-1, CHANNELS))


def log_normal(error: Tensor, precision: Tensor | float) -> Tensor:
    """ln N of a colour whose squared distance from the mean is given."""
    precision = torch.as_tensor(precision, dtype=error.dtype, device=error.device)
    return COLOUR / 2 * (precision / (2 * math.pi)).log() - precision / 2 * error


def grouping(config: Slots | Clusters, *, pixels: int) -> Layered:
    """inputs: Float "images numbers"; output: Float "images pixels", log p(colour)."""
    layer = Explainer(config) if isinstance(config, Slots) else Clustered(config)
    return Layered([layer], nn.Identity(), states=[(pixels,)])
