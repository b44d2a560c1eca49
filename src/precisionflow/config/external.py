"""Models from outside, to compare with: estimators of scikit-learn, and a file of somebody's predictions."""

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Count, NonNegative, Positive, Whole
from precisionflow.config.engine import BatchedEngine, TorchEngine
from precisionflow.config.learning import Backpropagation
from precisionflow.config.likelihoods import CrossEntropy, GaussianNLL
from precisionflow.config.sources import SUFFIXES, NamedPath, table_suffix


class External(Config):
    """What all models from outside share: a Gaussian, or probabilities of classes, for each validation and test row.

    `train` writes these predictions, `evaluate` reads them; there is no network, and nothing that predicts other rows.
    """

    engines: ClassVar = (TorchEngine, BatchedEngine)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation()}
    objectives: ClassVar[tuple[Config, ...]] = (GaussianNLL(), CrossEntropy())
    """What its predictions are validated by, of numbers and of classes; it learns in its own way."""
    remedy: ClassVar[str | None] = None


class Ridge(External):
    """Linear regression with a squared penalty; std: root mean square of the validation rows' errors, of all rows."""

    kind: Literal["ridge"] = "ridge"
    alpha: NonNegative = 1.0
    """Times the squared norm of the coefficients of standardised features."""


class BayesianRidge(External):
    """Linear regression, its noise and its prior by marginal likelihood (MacKay 1992); std: its own."""

    kind: Literal["bayesian_ridge"] = "bayesian_ridge"


class LogisticRegression(External):
    """Multinomial logistic regression with a squared penalty; probabilities: its own.

    Of texts on (1 + log count) * inverse document frequency of each id, of unit length; of words the same of the ids
    of the word, of the one before it and of the one after it.
    """

    kind: Literal["logistic_regression"] = "logistic_regression"
    C: Positive = 1.0
    """Inverse weight of the squared norm of the coefficients, of tables those of standardised features."""


class GaussianProcess(External):
    """Gaussian process with a length scale for each feature, by marginal likelihood; of numbers with noise.

    std: its own; probabilities: of one class against the others, by Laplace's approximation, normalised.
    """

    kind: Literal["gaussian_process"] = "gaussian_process"
    kernel: Literal["rbf", "matern_3_2", "matern_5_2"] = "rbf"
    restarts: Whole = 0
    """Further starts of the kernel's optimisation, drawn by the seed."""
    most_rows: Count = 1000
    """Training rows that it is fitted to, drawn by the seed where there are more: its cost grows with their cube."""


class RandomForest(External):
    """Random forest; std: of the training targets that share a leaf with the row, over all trees (Meinshausen 2006).

    Probabilities: mean over the trees of the classes' shares in the row's leaf.
    """

    kind: Literal["random_forest"] = "random_forest"
    n_estimators: Count = 200
    """Trees."""
    min_samples_leaf: Annotated[int, Field(ge=2), NUMBER] = 5
    """Rows that a leaf holds at least; one alone would tell no spread."""
    max_features: Annotated[float, Field(gt=0, le=1), NUMBER] = 1.0
    """Share of the features that a split may choose among."""


class BoostedTrees(External):
    """Boosted trees on histograms, stopped by the validation rows; std: root of boosted squared errors.

    Probabilities: its own. Of numbers a second model has the gamma deviance, whose log-linked mean is the variance, and
    learns from the errors of training rows that the first one, fitted without them, left (`folds`).
    """

    kind: Literal["boosted_trees"] = "boosted_trees"
    learning_rate: Positive = 0.1
    max_iter: Count = 1000
    """Most trees."""
    max_leaf_nodes: Annotated[int, Field(ge=2), NUMBER] = 31
    min_samples_leaf: Count = 20
    l2_regularization: NonNegative = 0.0
    n_iter_no_change: Count = 20
    """Trees without a new best on the validation rows before boosting stops."""
    folds: Annotated[int, Field(ge=2), NUMBER] = 5
    """Parts of the training rows; the errors of each are those of a model of the others. Of numbers alone."""


Estimator = Ridge | BayesianRidge | GaussianProcess | RandomForest | BoostedTrees
"""Of numbers."""
Classifier = LogisticRegression | GaussianProcess | RandomForest | BoostedTrees
"""Of classes."""


class PredictionFile(External):
    """Somebody's predictions: a table file with the columns row, mean and std, and split where splits differ.

    row: index of the row in the source, from 0, as in test.parquet of the prepared data; mean and std: in the target's
    units. Of classes a column p_CLASS for each class in place of mean and std, their sum in a row 1; of tags row is the
    sentence's, and a column word has the place of the word in it, from 0, of words that have a tag. Every test row
    once; predictions of all validation rows beside them let recalibrations be fitted.
    """

    kind: Literal["predictions"] = "predictions"
    path: NamedPath
    """`.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson`, these with `.gz`, or `.parquet`; absolute, or relative to the
    experiment's file or to the folder that PRECISIONFLOW_DATA names."""

    @model_validator(mode="after")
    def _is_read(self) -> Self:
        if table_suffix(self.path) not in SUFFIXES:
            raise ValueError(
                f"model.path {self.path!r}: {PurePosixPath(self.path).name} should end in {', '.join(SUFFIXES)}"
            )
        return self
