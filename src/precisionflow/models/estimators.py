"""Estimators of scikit-learn that state a Gaussian for each row: where the std comes from is theirs or told here."""

import warnings
from collections.abc import Callable
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float, Int

from precisionflow.config.external import (
    BayesianRidge,
    BoostedTrees,
    Classifier,
    Estimator,
    GaussianProcess,
    RandomForest,
    Ridge,
)
from precisionflow.data.batches import Rows

Features = Float[np.ndarray, "rows features"]
Numbers = Float[np.ndarray, "rows"]
Predict = Callable[[Features], tuple[Numbers, Numbers]]
"""Standardised features -> mean and std of the standardised target."""
LEAST_STD = 1e-3
"""Lowest std that is stated, as a share of the training targets' own: where the targets behind a row are all equal, a
density would be infinite."""


def fitted(model: Estimator, train: Rows, valid: Rows, *, seed: int) -> Predict:
    """The estimator after learning from the training rows; `seed` decides all that it draws."""
    predict = _fitted(model, train, valid, seed)

    def stated(features: Features) -> tuple[Numbers, Numbers]:
        mean, std = predict(features)
        return mean.astype(np.float64), np.maximum(std, LEAST_STD)

    return stated


def _fitted(model: Estimator, train: Rows, valid: Rows, seed: int) -> Predict:
    match model:
        case Ridge():
            return _ridge(model, train, valid)
        case BayesianRidge():
            return _bayesian_ridge(train)
        case GaussianProcess():
            return _gaussian_process(model, train, seed)
        case RandomForest():
            return _random_forest(model, train, seed)
        case BoostedTrees():
            return _boosted(model, train, valid, seed)
        case _:
            assert_never(model)


def _ridge(model: Ridge, train: Rows, valid: Rows) -> Predict:
    from sklearn.linear_model import Ridge as LinearRidge

    found = LinearRidge(alpha=model.alpha).fit(*_float64(train))
    features, target = _float64(valid)
    error = np.sqrt(np.mean((target - found.predict(features)) ** 2))

    def predict(rows: Features) -> tuple[Numbers, Numbers]:
        mean = found.predict(rows)
        return mean, np.full_like(mean, error)

    return predict


def _bayesian_ridge(train: Rows) -> Predict:
    from sklearn.linear_model import BayesianRidge as Bayesian

    found = Bayesian().fit(*_float64(train))
    return lambda rows: found.predict(rows, return_std=True)


def _gaussian_process(model: GaussianProcess, train: Rows, seed: int) -> Predict:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import WhiteKernel

    features, target = _float64(train)
    kept = drawn_rows(len(target), model.most_rows, seed)
    features, target = features[kept], target[kept]
    kernel = kernel_of(model, features.shape[1]) + WhiteKernel(0.1)
    found = GaussianProcessRegressor(kernel, n_restarts_optimizer=model.restarts, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found.fit(features, target)
    return lambda rows: found.predict(rows, return_std=True)


def kernel_of(model: GaussianProcess, features: int) -> Any:
    """The kernel before its optimisation, without noise."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

    scales = np.full(features, np.sqrt(features))
    smooth = {"rbf": RBF(scales), "matern_3_2": Matern(scales, nu=1.5), "matern_5_2": Matern(scales, nu=2.5)}
    return ConstantKernel() * smooth[model.kernel]


def drawn_rows(count: int, most: int, seed: int) -> slice | Int[np.ndarray, "drawn"]:
    """All rows, or `most` of them drawn by the seed where there are more."""
    if count <= most:
        return slice(None)
    return np.random.default_rng(seed).choice(count, most, replace=False)


def _random_forest(model: RandomForest, train: Rows, seed: int) -> Predict:
    from sklearn.ensemble import RandomForestRegressor

    found = RandomForestRegressor(**settings(model), random_state=seed).fit(*_float64(train))

    def predict(rows: Features) -> tuple[Numbers, Numbers]:
        leaves = found.apply(rows).T
        trees = [tree.tree_ for tree in found.estimators_]
        means = np.array([of.value[leaf, 0, 0] for of, leaf in zip(trees, leaves, strict=True)])
        within = np.array([of.impurity[leaf] for of, leaf in zip(trees, leaves, strict=True)])
        return means.mean(axis=0), np.sqrt(within.mean(axis=0) + means.var(axis=0))

    return predict


def _boosted(model: BoostedTrees, train: Rows, valid: Rows, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold

    (features, target), (held, held_target) = _float64(train), _float64(valid)
    given = {name: value for name, value in settings(model).items() if name != "folds"}

    def boosted(rows: Features, values: Numbers, held_values: Float[np.ndarray, "held"], *, loss: str) -> Any:
        made = HistGradientBoostingRegressor(loss=loss, early_stopping=True, random_state=seed, **given)
        return made.fit(rows, values, X_val=held, y_val=held_values)

    squared = np.empty_like(target)
    for learned, left in KFold(model.folds, shuffle=True, random_state=seed).split(features):
        part = boosted(features[learned], target[learned], held_target, loss="squared_error")
        squared[left] = (target[left] - part.predict(features[left])) ** 2
    mean = boosted(features, target, held_target, loss="squared_error")
    held_squared = (held_target - mean.predict(held)) ** 2
    variance = boosted(
        features, np.maximum(squared, LEAST_STD**2), np.maximum(held_squared, LEAST_STD**2), loss="gamma"
    )
    return lambda rows: (mean.predict(rows), np.sqrt(variance.predict(rows)))


def settings(model: Estimator | Classifier) -> dict[str, Any]:
    """Fields of a model that scikit-learn knows by the same names."""
    return model.model_dump(exclude={"kind"})


def _float64(rows: Rows) -> tuple[Features, Numbers]:
    return rows.features.astype(np.float64), rows.target.astype(np.float64)
