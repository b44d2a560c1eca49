"""Learned precision of a generative network against the known one of the noise: beliefs about states, or their mode.

Images of 12 pixels from 3 hidden numbers, with Gaussian noise of a known variance, of which 2 to 30 times that of a
pixel is signal. A linear network of 3 states learns its weights and one precision by predictive coding. Of P pixels and
D states the mode's precision should be P / (P - D) of the true one; with beliefs it should be the one of the largest
likelihood, which is known in closed form (Tipping & Bishop 1999). Intervals are Student's t over the seeds, at 95 %.
"""

import torch
from measured import Measured, arguments, present, with_interval
from torch import Tensor

from precisionflow.config.learning import GaussNewton, LearnedPrecision, PredictiveCoding
from precisionflow.config.networks import Generative as Config
from precisionflow.evaluation.scores.images import PrincipalComponents
from precisionflow.inference.predictive_coding.generative import Generative
from precisionflow.models.networks.generative import generative
from precisionflow.training.batches import Batch
from precisionflow.training.rules.generative import GenerativeLearner

PIXELS, STATES, IMAGES, STEPS = 12, 3, 1500, 200
BAR = 0.05
"""Share of the true precision."""


def drawn(seed: int) -> tuple[Tensor, float]:
    """Images and the precision of their noise."""
    random = torch.Generator().manual_seed(seed)
    deviation = 0.2 + 0.6 * float(torch.rand((), generator=random))
    loadings = torch.randn(STATES, PIXELS, generator=random)
    hidden, noise = (torch.randn(IMAGES, width, generator=random) for width in (STATES, PIXELS))
    return hidden @ loadings + deviation * noise, deviation**-2


def learned(images: Tensor, *, beliefs: str, seed: int) -> float:
    """The image's precision after learning."""
    learning = PredictiveCoding(
        iterations=1,
        step_size=1.0,
        descent=GaussNewton(),
        precision=LearnedPrecision(initial=1.0, lowest=0.01, highest=1e4),
    )
    config = Config(states=(STATES,), beliefs=beliefs)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = generative(config, classes=1, pixels=PIXELS)
    model = Generative(network, config, learning, pixels=PIXELS)
    learner = GenerativeLearner(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    batch = Batch(torch.zeros(len(images), dtype=torch.int64), images)
    for _ in range(STEPS):
        optimiser.zero_grad()
        learner(batch).surrogate.backward()
        optimiser.step()
        schedule.step()
    return float(model.image_law.precision(images).detach())


def main() -> None:
    """Learn on the images of every seed, with both beliefs."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    found: list[Measured] = []
    for beliefs, expected, bar in (("laplace", 1.0, BAR), ("mode", PIXELS / (PIXELS - STATES), None)):
        ratios, likeliest = [], []
        for seed in range(given.seeds):
            images, true = drawn(seed)
            precision = learned(images, beliefs=beliefs, seed=seed)
            ratios.append(precision / true)
            likeliest.append(precision * PrincipalComponents.fit(images.numpy(), count=STATES).noise)
        found += with_interval(f"{beliefs}, learned over true precision", ratios, "1")
        furthest = max(abs(ratio / expected - 1) for ratio in ratios)
        found.append(Measured(f"{beliefs}, largest distance from {expected:.3g}", furthest, "1", bar=bar))
        found += with_interval(f"{beliefs}, over that of the largest likelihood", likeliest, "1")
    present(found, given.json)


if __name__ == "__main__":
    main()
