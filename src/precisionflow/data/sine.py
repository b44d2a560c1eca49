"""The toy whose noise is known: a sine of growing amplitude and growing noise."""

import hashlib

import numpy as np
from jaxtyping import Float

from precisionflow.config.task import HeteroscedasticSine
from precisionflow.data.table import Table, cut_test

RANGE = (0.0, 10.0)
Points = Float[np.ndarray, " rows"]


def truth(x: Points) -> tuple[Points, Points]:
    """(mean, std) of y = x sin x + 0.3 e1 + 0.3 x e2, e1 and e2 independent standard normal (Detlefsen et al. 2019)."""
    return x * np.sin(x), 0.3 * np.sqrt(1 + x**2)


def open_sine(source: HeteroscedasticSine, *, split: int) -> Table:
    """x uniform in `RANGE` and y, drawn from numpy's PCG64 with the source's seed; cut by `cut_test`."""
    random = np.random.default_rng(source.seed)
    x = random.uniform(*RANGE, size=source.rows)
    mean, std = truth(x)
    values = np.column_stack([x, mean + std * random.standard_normal(source.rows)])
    train, test = cut_test(source.rows, split=split)
    return Table(
        origin=f"heteroscedastic sine of {source.rows} rows",
        sha256=hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
        train=train,
        test=test,
        batches=lambda: iter([values]),
        features=("x",),
        target="y",
    )
