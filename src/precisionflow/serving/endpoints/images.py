"""Endpoint `perception` of a model of images: probabilities of its classes by the free energies of settled states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from precisionflow.evaluation.tasks.images import ImagePredictor
from precisionflow.serving.answers.contract import Contract
from precisionflow.serving.endpoints.endpoint import Answered, Columns, Endpoint, Given
from precisionflow.serving.endpoints.predict import PredictRows


@dataclass(frozen=True)
class ImagePerception(Endpoint):
    """p(class given image), and the free energy of the image, -ln of the mean over classes of exp(-F), in nats.

    Where settling raises the energy of an image, or it has no finite one, there is no posterior: its answers are null
    and not converged.
    """

    passes_messages = True
    rows: PredictRows
    predictor: ImagePredictor

    @classmethod
    def of_images(cls, rows: PredictRows, predictor: ImagePredictor) -> "ImagePerception":
        classes = predictor.data_card.class_names
        names = [*(f"p_{name}" for name in classes if len(classes) > 1), "free_energy"]
        contract = Contract.of(rows.contract.inputs, dict.fromkeys(names, "double"))
        return cls("perception", contract, rows, predictor)

    @property
    def apart(self) -> bool:
        return self.rows.apart

    def read(self, columns: Columns) -> Given:
        return self.rows.read(columns)

    def answer(self, given: Sequence[Any], params: Mapping[str, Any]) -> Answered:  # noqa: ARG002 - it takes none
        images, names = self.predictor.taken(np.concatenate(given)), list(self.contract.outputs)
        stated = self.predictor.stated_each(images)
        found = np.column_stack([stated.probabilities, stated.energy])[:, -len(names) :]
        converged = np.isfinite(found).all(axis=1)
        found[~converged] = np.nan
        iterations = [self.predictor.model.config.iterations] * len(images)
        return Answered(
            pd.DataFrame(found, columns=names), iterations, found[:, -1].tolist(), converged.tolist()
        )

    def example(self) -> Columns | None:
        return self.rows.example()
