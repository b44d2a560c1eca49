"""A trained network behind MLflow's `predict`: the file that an MLflow model carries as its code."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.records.recalibration import RecalibrationCard
from precisionflow.serving.answers.of_task import answers_of
from precisionflow.serving.model import ServedModel, fits_of


class ServedPredictor(PythonModel):
    """Rows of numbers or texts in, predictive distributions out."""

    model: ServedModel

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights; the model's files lie in one folder."""
        from precisionflow.evaluation.predictor import load_predictor

        files = {name: Path(file) for name, file in context.artifacts.items()}
        predictor = load_predictor(files["weights"].parent, read_card(files["dataset"], DatasetCard))
        kept = files.get("recalibration")
        fits = fits_of(read_card(kept, RecalibrationCard)) if kept else {}
        self.model = ServedModel(predictor, fits)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """One row of output for each row of input.

        A table: its features by name (x0, x1, ... where the data had no names) in their own units -> mean, std, the
        aleatoric and epistemic part of the std, and the ends lower, upper of the central interval of probability
        `params["level"]`, 0.95 by default, in the target's units. A text: column `text` -> nll (nats per token, from
        the second token on, each given those before it in its window), bits_per_character, and the most probable
        next_token. `params["recalibrated"]` names a method of evaluation.recalibration that the model was
        evaluated with. ValueError for a missing column, a text that the model cannot read, a method that it lacks.
        """
        task = self.model.predictor.experiment_card.experiment.task
        return answers_of(task).answer(self.model, model_input, params or {})


set_model(ServedPredictor())  # how MLflow finds the model in a file
