"""The toy whose noise is known: a sine of growing amplitude and growing noise."""

import numpy as np
from jaxtyping import Float

from precisionflow.config.drawn_tables import HeteroscedasticSine
from precisionflow.data.table import Table, table_of

RANGE = (0.0, 10.0)
Points = Float[np.ndarray, " rows"]


def truth(x: Points) -> tuple[Points, Points]:
    """(mean, std) of y = x sin x + 0.3 e1 + 0.3 x e2, e1 and e2 independent standard normal (Detlefsen et al. 2019)."""
    return x * np.sin(x), 0.3 * np.sqrt(1 + x**2)


def open_sine(source: HeteroscedasticSine, *, split: int) -> Table:
    """x uniform in `RANGE` and y, drawn from numpy's PCG64 with the source's seed; cut by `cut_rows`."""
    random = np.random.default_rng(source.seed)
    x = random.uniform(*RANGE, size=source.rows)
    mean, std = truth(x)
    values = np.column_stack([x, mean + std * random.standard_normal(source.rows)])
    origin = f"heteroscedastic sine of {source.rows} rows"
    return table_of(values, origin=origin, features=("x",), target="y", cut=source.split, split=split)
