"""A trained network behind MLflow's `predict`: the file that an MLflow model carries as its code."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card

if TYPE_CHECKING:
    from precisionflow.evaluation.predictor import Predictor
    from precisionflow.evaluation.tasks.characters import TokenPredictor
    from precisionflow.evaluation.tasks.regression import TablePredictor


class ServedPredictor(PythonModel):
    """Rows of numbers or texts in, predictive distributions out."""

    predictor: "Predictor"

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights; the model's three files lie in one folder."""
        from precisionflow.evaluation.predictor import load_predictor

        files = {name: Path(file) for name, file in context.artifacts.items()}
        self.predictor = load_predictor(files["weights"].parent, read_card(files["dataset"], DatasetCard))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """One row of output for each row of input.

        A table: its features by name (x0, x1, ... where the data had no names) in their own units -> mean, std, the
        aleatoric and epistemic part of the std, and the ends lower, upper of the central interval of probability
        `params["level"]`, 0.95 by default, in the target's units. A text: column `text` -> nll (nats per character,
        from the second character on, each given those before it in its window), bits_per_character, and the most
        probable next_character. ValueError for a missing column and for a text that the model cannot read.
        """
        from precisionflow.evaluation.tasks.characters import TokenPredictor
        from precisionflow.evaluation.tasks.regression import TablePredictor

        match self.predictor:
            case TablePredictor() as predictor:
                return _intervals(predictor, model_input, level=(params or {}).get("level", 0.95))
            case TokenPredictor() as predictor:
                return pd.DataFrame([_scores(predictor, text) for text in model_input["text"]])
            case _:
                assert_never(self.predictor)


def _intervals(predictor: "TablePredictor", table: pd.DataFrame, *, level: float) -> pd.DataFrame:
    from precisionflow.evaluation.uncertainty import ends, predict_with_uncertainty

    names = predictor.data_card.feature_names
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise ValueError(
            f"column {absent[0]!r} is missing (there are {', '.join(map(str, table.columns))}); "
            f"the model takes {', '.join(names)}"
        )
    predicted = predict_with_uncertainty(predictor, table[list(names)].to_numpy(np.float64), levels=(level,))
    return predicted.rename(columns=dict(zip(ends(level), ("lower", "upper"), strict=True)))


def _scores(predictor: "TokenPredictor", text: str) -> dict[str, float | str]:
    if len(text) < 2:
        raise ValueError(
            f"text {text!r} has fewer than two characters; a score needs one to predict and one before it"
        )
    vocabulary = predictor.data_card.tokens
    log_probabilities = predictor.log_probabilities(text)
    seen = [vocabulary.index(character) for character in text[1:]]
    nll = -float(log_probabilities[np.arange(len(seen)), seen].mean())
    following = vocabulary[int(log_probabilities[-1].argmax())]
    return {"nll": nll, "bits_per_character": nll / math.log(2), "next_character": following}


set_model(ServedPredictor())  # how MLflow finds the model in a file
