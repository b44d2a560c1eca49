"""Predicted distributions as columns of a file and back."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from precisionflow.evaluation.columns import Rows, refuse
from precisionflow.evaluation.distribution import PARAMETERS, Distribution
from precisionflow.evaluation.families import Components
from precisionflow.records.files import checked
from precisionflow.records.schemas import PREDICTIONS

_ROUNDING = 1e-6
"""How far a mean or std may be from the distribution's, as a share of |mean| + std."""
FAMILIES = ("gaussian", "student_t", "laplace")


def predictions_table(predicted: Distribution, *, row: np.ndarray, target: Rows) -> pa.Table:
    """A `records.schemas.PREDICTIONS`: `row` is the index in the source, everything else in the target's own units."""
    columns = {name: _lists(getattr(predicted, name), len(target)) for name in PARAMETERS}
    family = pa.array([predicted.family]).take(pa.array(np.zeros(len(target), dtype=np.int64)))
    moments = {"mean": predicted.mean, "std": predicted.std}
    return pa.table(
        {"row": row, "target": target, "family": family, **columns, **moments}, schema=PREDICTIONS
    )


def predictive_distribution(table: pa.Table, *, origin: str = "predictions") -> Distribution:
    """The distribution of a `records.schemas.PREDICTIONS` from `origin`, which messages name.

    ValueError for a table without rows, rows of several or unknown families, with unequal numbers of components, or
    with parameters that are none (a scale that is not positive, for instance); it names the row.
    """
    if table.num_rows == 0:
        raise ValueError(f"{origin}: no rows; give at least one")
    table = checked(table, PREDICTIONS, origin)
    try:
        predicted = _distribution(table)
        _check_moments(table, predicted)
        return predicted
    except ValueError as error:
        raise ValueError(f"{origin}: {error}; delete its folder and evaluate again") from None


def _check_moments(table: pa.Table, predicted: Distribution) -> None:
    """ValueError for a row whose mean or std is not that of its distribution."""
    size = np.abs(predicted.mean) + predicted.std
    for name, right in (("mean", predicted.mean), ("std", predicted.std)):
        given = table[name].to_numpy()
        wrong = np.abs(given - right) > _ROUNDING * size
        refuse(wrong, name, given, wanted="should be that of the row's distribution")


def _distribution(table: pa.Table) -> Distribution:
    families = table["family"].to_numpy()
    refuse(families != families[0], "family", families, wanted=f"should be {families[0]}, as in row 0")
    refuse(~np.isin(families, FAMILIES), "family", families, wanted=f"should be one of {', '.join(FAMILIES)}")
    parts = {name: _components(table[name], name) for name in PARAMETERS}
    for name in ("location", "scale", "weight"):
        if parts[name] is None:
            raise ValueError(f"{name}, row 0: has no component; give at least one")
    widths = {name: values.shape[1] for name, values in parts.items() if values is not None}
    for name, width in widths.items():
        if width != widths["location"]:
            raise ValueError(
                f"{name}, row 0: has {width} components, location {widths['location']}; should have equally many"
            )
    return Distribution(families[0], **parts)  # type: ignore[arg-type]


def pooled(parts: Sequence[Distribution]) -> Distribution:
    """The rows of several distributions of one family, one after the other.

    Fewer components are filled up with copies of weight 0.
    """
    most = max(part.components for part in parts)

    def joined(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        if arrays[0] is None:
            return None
        return np.concatenate([_filled(a, most, zero=name == "weight") for a in arrays])

    return Distribution(parts[0].family, *map(joined, PARAMETERS))  # type: ignore[arg-type]


def _filled(values: Components, components: int, *, zero: bool) -> Float[np.ndarray, "rows filled"]:
    more = components - values.shape[1]
    if not more:
        return values
    last = np.zeros_like(values[:, -1:]) if zero else values[:, -1:]
    return np.concatenate([values, np.repeat(last, more, axis=1)], axis=1)


def _lists(values: Components | None, rows: int) -> pa.ListArray:
    flat = np.zeros(0) if values is None else np.ascontiguousarray(values, dtype=np.float64).ravel()
    width = len(flat) // rows
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.ListArray.from_arrays(offsets, flat, type=PREDICTIONS.field("location").type)


def _components(column: pa.ChunkedArray, name: str) -> Components | None:
    widths = pc.list_value_length(column).to_numpy()
    refuse(widths != widths[0], name, widths, wanted=f"should have {widths[0]} components, as row 0 has")
    if not widths[0]:
        return None
    return pc.list_flatten(column).to_numpy().reshape(-1, widths[0])
