"""Slots: objects in generated images, by adjusted Rand index against k-means and a Gaussian mixture.

Images of 12 x 12 pixels hold two to four discs or squares of random colours, one over the other, on a grey ground, with
noise. Methods see colour and place of every pixel; all but learned slots know how many objects there are. The index is
that of foreground pixels. Learned slots are trained to explain images of their own, without a label: each slot is
decoded apart (Locatello et al. 2020), and a pixel is of one of them, an edge that is summed out. Every seed has images,
starts and weights of its own; intervals are Student's t, at 95 %.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measured import Measured, arguments, present, with_interval
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from precisionflow.models.attention.iterated import Descending
from precisionflow.models.attention.iterated.settle import settle
from precisionflow.models.attention.iterated.slot_attention import SlotAttention
from precisionflow.models.attention.iterated.slots import DotProductSlots, GaussianSlots

SIDE, MOST, NOISE = 12, 4, 0.05
TESTED, TRAINED, BATCH, RATE = 100, 1000, 16, 4e-3
WIDTH, ITERATIONS, STD = 16, 3, 0.1
"""Channels of a slot, its steps, and the standard deviation of a pixel's colour about that of its slot."""
SHARP = 50.0
"""Precision of untrained slots: clusters of a standard deviation of 0.14, colours and places in [0, 1]."""


class Images(NamedTuple):
    features: Tensor
    """Colour and place of every pixel, float "images pixels 5"."""
    owner: np.ndarray
    """Object of every pixel, 0 for the ground."""


def drawn(count: int, random: np.random.Generator) -> Images:
    """Objects drawn one over the other; one that is hidden to less than 4 pixels may remain."""
    axis = (np.arange(SIDE) + 0.5) / SIDE
    y, x = np.meshgrid(axis, axis, indexing="ij")
    colour = np.full((count, SIDE, SIDE, 3), 0.5)
    owner = np.zeros((count, SIDE, SIDE), dtype=int)
    for image, objects in enumerate(random.integers(2, MOST + 1, size=count)):
        for number in range(1, objects + 1):
            radius, (cy, cx) = random.uniform(0.14, 0.24), random.uniform(0.15, 0.85, size=2)
            distances = np.abs(np.stack([y - cy, x - cx]))
            square = random.random() < 0.5
            inside = (distances.max(0) if square else np.hypot(*distances)) < radius
            colour[image, inside], owner[image, inside] = random.random(3), number
    colour += NOISE * random.standard_normal(colour.shape)
    place = np.broadcast_to(np.stack([y, x], axis=-1), (count, SIDE, SIDE, 2))
    features = np.concatenate([colour, place], axis=-1).reshape(count, -1, 5)
    return Images(torch.from_numpy(features).float(), owner.reshape(count, -1))


def index(found: np.ndarray, owner: np.ndarray) -> float:
    """Mean adjusted Rand index of foreground pixels."""
    scores = [
        adjusted_rand_score(true[true > 0], of[true > 0]) for of, true in zip(found, owner, strict=True)
    ]
    return float(np.mean(scores))


def by_estimator(
    make: Callable[[int, int], KMeans | GaussianMixture], images: Images, seed: int
) -> np.ndarray:
    """Labels of each image, of as many clusters as objects and the ground."""
    counts = [len(np.unique(owner)) for owner in images.owner]
    return np.stack(
        [
            make(count, seed).fit_predict(features.numpy())
            for features, count in zip(images.features, counts, strict=True)
        ]
    )


def by_slots(make: Callable[[Tensor], Descending], images: Images, seed: int) -> np.ndarray:
    """Labels after settling from the best of ten random starts, by free energy, each at random pixels."""
    random = torch.Generator().manual_seed(seed)
    found = []
    for features, owner in zip(images.features, images.owner, strict=True):
        chosen = torch.stack([torch.randperm(len(features), generator=random) for _ in range(10)])
        start = features[chosen[:, : len(np.unique(owner))]]
        model = make(features.expand(10, -1, -1))
        settled = settle(model, start, iterations=100, tolerance=1e-5)
        best = int(settled.energies[-1].argmin())
        found.append(model.posterior(settled.state)[best].argmax(0).numpy())  # type: ignore[attr-defined]
    return np.stack(found)


class Explainer(nn.Module):
    """Pixels to slots, and each slot to colours and a mask at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 32), nn.LayerNorm(32))
        self.slots = SlotAttention(32, WIDTH, iterations=ITERATIONS)
        self.decoder = nn.Sequential(nn.Linear(WIDTH + 2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.colour_and_mask = nn.Linear(32, 4)

    def forward(self, features: Tensor, start: Tensor) -> Tensor:
        """ln mask_k + ln N(colour; colour_k, STD^2) up to a constant, float "images slots pixels"."""
        slots, _ = self.slots(self.encoder(features), start)
        places = features[:, None, :, 3:].expand(-1, slots.shape[1], -1, -1)
        wide = slots[:, :, None].expand(-1, -1, features.shape[1], -1)
        colour, mask = self.colour_and_mask(self.decoder(torch.cat([wide, places], dim=-1))).split([3, 1], -1)
        error = (features[:, None, :, :3] - colour).square().sum(-1)
        return mask[..., 0].log_softmax(1) - error / (2 * STD**2)


def learned(images: Images, seed: int, *, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels by what the slots share among them, and by the posterior of the slot that a pixel is decoded from."""
    torch.manual_seed(seed)
    model = Explainer()
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    seen = drawn(TRAINED, np.random.default_rng([seed, 1])).features
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 100) * (1 - step / steps)
        batch = seen[torch.randint(len(seen), (BATCH,))]
        loss = -model(batch, torch.randn(BATCH, MOST + 1, WIDTH)).logsumexp(1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    with torch.no_grad():
        start = torch.randn(len(images.features), MOST + 1, WIDTH)
        shares = model.slots(model.encoder(images.features), start).shares
        decoded = model(images.features, start)
    return shares.argmax(1).numpy(), decoded.argmax(1).numpy()


def indices(seed: int, *, steps: int) -> dict[str, float]:
    """Method -> adjusted Rand index."""
    images = drawn(TESTED, np.random.default_rng([seed, 0]))
    shares, decoded = learned(images, seed, steps=steps)
    found = {
        "k-means": by_estimator(lambda k, s: KMeans(k, n_init=10, random_state=s), images, seed),
        "Gaussian mixture": by_estimator(
            lambda k, s: GaussianMixture(k, n_init=3, reg_covar=1e-4, random_state=s), images, seed
        ),
        "Gaussian slots": by_slots(lambda x: GaussianSlots(x, precision=SHARP), images, seed),
        "dot product slots": by_slots(DotProductSlots, images, seed),
        "learned slots, what they share": shares,
        "learned slots, decoded": decoded,
    }
    return {name: index(of, images.owner) for name, of in found.items()}


def kept(file: Path, seed: int, *, steps: int) -> dict[str, float]:
    """Indices of a seed and the minutes that they took, from the file where it is there."""
    if not file.exists():
        start = time.perf_counter()
        found = indices(seed, steps=steps) | {"minutes": (time.perf_counter() - start) / 60}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def main() -> None:
    """Measure every method on the images of every seed."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="folder that keeps finished seeds; they are not run again")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        each = [kept(folder / f"seed-{seed}.json", seed, steps=given.steps) for seed in range(given.seeds)]
    minutes = [of.pop("minutes") for of in each]
    found = [
        result
        for name in each[0]
        for result in with_interval(f"adjusted Rand index, {name}", [of[name] for of in each], "1")
    ]
    better = [of["learned slots, what they share"] - of["k-means"] for of in each]
    found += with_interval("learned slots above k-means", better, "1")
    present([*found, Measured("wall time", sum(minutes), "min", bar=30.0)], given.json)


if __name__ == "__main__":
    main()
