"""A model of images and predictive coding as one module, which an engine calls with a batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from precisionflow.inference.predictive_coding.energy import Clamped, Taught
from precisionflow.inference.predictive_coding.generative import Generative
from precisionflow.training.batches import Batch
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.monitored import Monitored
from precisionflow.training.rules.predictive_coding import PredictiveCoding


class GenerativeLearner(nn.Module):
    """Called with a batch, whose inputs are classes and whose targets images, it gives the lesson.

    The lesson is that of the energy at the settled states plus their spread, and so of the free energy: on a linear
    Gaussian network its gradient is that of -log p(image). What the spread changes with the states is left out.
    Its loss is the free energy too. In evaluation mode the call gives the free energy of each image.
    """

    def __init__(self, model: Generative, *, total: Callable[[Tensor], Tensor] = torch.clone) -> None:
        """`total` sums a copy over ranks."""
        super().__init__()
        self.model = model

        def spread(taught: Taught, clamped: Clamped, errors: list[Tensor]) -> Taught:
            added = model.spread(clamped, errors).sum()
            with torch.no_grad():
                energy = clamped.energies(clamped.passed(errors), model.laws).sum()
            return Taught(
                taught.surrogate + added, taught.energy + added.detach(), loss=energy + added.detach()
            )

        self.rule = PredictiveCoding(
            model.learning,
            laws=model.laws,
            places=model.places,
            amortised=model.amortised,
            output_law=model.image_law,
            spread=spread,
            total=total,
        )

    def forward(self, batch: Batch, carried: Any = None) -> Lesson | Tensor:
        """`carried` is that of the lesson before, on the same batch."""
        if self.training:
            return self.rule(self.model.network, self.model.losses, batch, carried)  # type: ignore[no-any-return]
        return self.model.infer(batch.target, batch.inputs).free_energies

    def monitored(self, batch: Batch, *, step: int) -> Monitored:
        """What is seen of the lesson on a batch after so many steps; backprop is that of the class's own image."""
        return self.rule.monitored(self.model.network, self.model.losses, batch, step=step)
