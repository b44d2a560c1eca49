"""Estimators of scikit-learn that state probabilities of classes for each row or text."""

import warnings
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float, Int

from precisionflow.config.external import (
    BoostedTrees,
    Classifier,
    GaussianProcess,
    LogisticRegression,
    RandomForest,
)
from precisionflow.data.batches import Rows
from precisionflow.data.labelled import Texts, Words
from precisionflow.models.estimators import Features, drawn_rows, kernel_of, settings

LogProbabilities = Float[np.ndarray, "rows classes"]
Classify = Callable[[Features], LogProbabilities]
"""Standardised features -> log p(class), in nats."""
LEAST_SHARE = 1e-3
"""Share of the uniform distribution that is mixed in: a class that no training row behind a row has would have
probability 0, and its negative log-likelihood would be infinite."""


def classifier(model: Classifier, train: Rows, valid: Rows, *, classes: int, seed: int) -> Classify:
    """The estimator after learning from the training rows; `seed` decides all that it draws."""
    return _stating(_fitted(model, train, valid, seed), classes)


def text_classifier(
    model: LogisticRegression, texts: Texts | Words, *, ids: int, classes: int, seed: int
) -> Callable[[Texts | Words], LogProbabilities]:
    """Logistic regression on (1 + log count) * inverse document frequency of each of `ids` ids, of unit length.

    Word order is lost; of a pair the texts are counted together. A word is told by its own ids and those of the words
    beside it, as `Words.counts` has them.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression as Multinomial
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(
        TfidfTransformer(sublinear_tf=True), Multinomial(C=model.C, max_iter=10_000, random_state=seed)
    )
    stated = _stating(made.fit(texts.counts(ids), texts.target), classes)
    return lambda asked: stated(asked.counts(ids))


def _stating(found: Any, classes: int) -> Callable[[Any], LogProbabilities]:
    """log p of each class as a fitted estimator has it; of those that it does not know, LEAST_SHARE alone."""
    known = found.classes_.astype(int)

    def stated(features: Any) -> LogProbabilities:
        probabilities = np.zeros((features.shape[0], classes))
        probabilities[:, known] = found.predict_proba(features)
        return np.log((1 - LEAST_SHARE) * probabilities + LEAST_SHARE / classes)

    return stated


def _fitted(model: Classifier, train: Rows, valid: Rows, seed: int) -> Any:
    features, target = _labelled(train)
    if len(np.unique(target)) == 1:
        return _Constant(target[:1])
    match model:
        case LogisticRegression():
            from sklearn.linear_model import LogisticRegression as Multinomial

            return Multinomial(C=model.C, max_iter=10_000, random_state=seed).fit(features, target)
        case GaussianProcess():
            return _gaussian_process(model, features, target, seed)
        case RandomForest():
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(**settings(model), random_state=seed).fit(features, target)
        case BoostedTrees():
            return _boosted(model, train, valid, seed)
        case _:
            assert_never(model)


class _Constant:
    """Of training rows of one class: that class."""

    def __init__(self, classes: Int[np.ndarray, "one"]) -> None:
        self.classes_ = classes

    def predict_proba(self, features: Features) -> Float[np.ndarray, "rows one"]:
        return np.ones((len(features), 1))


def _gaussian_process(
    model: GaussianProcess, features: Features, target: Int[np.ndarray, "rows"], seed: int
) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessClassifier

    kept = drawn_rows(len(target), model.most_rows, seed)
    found = GaussianProcessClassifier(
        kernel_of(model, features.shape[1]), n_restarts_optimizer=model.restarts, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return found.fit(features[kept], target[kept])


def _boosted(model: BoostedTrees, train: Rows, valid: Rows, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    (features, target), (held, held_target) = _labelled(train), _labelled(valid)
    known = np.isin(held_target, target)
    given = {name: value for name, value in settings(model).items() if name != "folds"}
    made = HistGradientBoostingClassifier(early_stopping=bool(known.any()), random_state=seed, **given)
    if not known.any():
        return made.fit(features, target)
    return made.fit(features, target, X_val=held[known], y_val=held_target[known])


def _labelled(rows: Rows) -> tuple[Features, Int[np.ndarray, "rows"]]:
    return rows.features.astype(np.float64), rows.target.astype(np.int64)
