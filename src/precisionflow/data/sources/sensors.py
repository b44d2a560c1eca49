"""Sensors whose noise depends on a context that may be hidden and persist: the exact observer is a filter."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from precisionflow.config.drawn_tables import Sensors
from precisionflow.data.table import Table, table_of

Beliefs = Float[np.ndarray, "rows contexts"]


class Mixture(NamedTuple):
    """sum_c weight_c N(mean_c, std_c^2) of each row."""

    weight: Beliefs
    mean: Beliefs
    std: Beliefs


class Readings(NamedTuple):
    """Rows of sensors: at each step a context, perhaps shown, and what every sensor reads."""

    read: Float[np.ndarray, "rows steps sensors"]
    context: Int[np.ndarray, "rows steps"]
    shown: Bool[np.ndarray, "rows steps"]
    truth: Float[np.ndarray, "rows"]
    """The number that the sensors read at the last step."""

    def of(self, row: Int[np.ndarray, "chosen"]) -> "Readings":
        """Some of the rows."""
        return Readings(*(part[row] for part in self))


def noise(source: Sensors) -> Float[np.ndarray, "contexts sensors"]:
    """Standard deviation of each sensor in each context: exp(spread * standard normal)."""
    shape = (source.contexts, source.sensors)
    return np.exp(source.spread * np.random.default_rng([source.seed, 1]).standard_normal(shape))


def draw_sensors(source: Sensors) -> Readings:
    """Numbers are standard normal; a context stays with probability `persistence`, else it is drawn anew."""
    random = np.random.default_rng([source.seed, 2])
    places = (source.rows, source.length)
    context, stays = random.integers(source.contexts, size=places), random.random(places) < source.persistence
    for step in range(1, source.length):
        context[:, step] = np.where(stays[:, step], context[:, step - 1], context[:, step])
    truth = random.standard_normal(places)
    errors = noise(source)[context] * random.standard_normal((*places, source.sensors))
    return Readings(truth[..., None] + errors, context, random.random(places) < source.shown, truth[:, -1])


def filtered(source: Sensors, rows: Readings) -> Mixture:
    """p(number at the last step | all that is seen), by the forward filter over contexts.

    Given context c a step's number has the posterior precision L_c = 1 + sum_k l_ck, l = 1 / noise^2, and the mean
    m_c = sum_k l_ck x_k / L_c; its readings x have log p(x | c) = 1/2 (sum_k (log l_ck - l_ck x_k^2) - log L_c +
    L_c m_c^2) up to a constant. A context that is shown has probability 1.
    """
    precision = noise(source) ** -2.0
    total = 1 + precision.sum(axis=1)
    contexts, stays = source.contexts, source.persistence
    belief = np.full((len(rows.read), contexts), 1 / contexts)
    mean = belief
    for step in range(source.length):
        x, seen = rows.read[:, step], rows.shown[:, step, None]
        mean = x @ precision.T / total
        evidence = np.log(precision).sum(axis=1) - np.log(total) - x**2 @ precision.T + total * mean**2
        alike = ~seen | (rows.context[:, step, None] == np.arange(contexts))
        expected = stays * belief + (1 - stays) / contexts if step else belief
        with np.errstate(divide="ignore"):
            joint = np.where(alike, np.log(expected) + 0.5 * evidence, -np.inf)
        belief = special.softmax(joint, axis=1)
    return Mixture(belief, mean, np.broadcast_to(total**-0.5, mean.shape))


def open_sensors(source: Sensors, *, split: int) -> Table:
    """For each step the readings, then 1 at the context where it is shown; cut by `cut_rows`."""
    rows = draw_sensors(source)
    cues = (rows.context[..., None] == np.arange(source.contexts)) & rows.shown[..., None]
    features = np.concatenate([rows.read, cues], axis=-1).reshape(source.rows, -1)
    names = [f"reading_{k}" for k in range(source.sensors)] + [f"context_{c}" for c in range(source.contexts)]
    return table_of(
        np.column_stack([features, rows.truth]),
        origin=f"{source.rows} rows of {source.sensors} sensors",
        features=tuple(f"{name}_step_{step}" for step in range(source.length) for name in names),
        target="number",
        cut=source.split,
        split=split,
    )
