"""Predicted distributions in a file: what comes back is what went in; a broken row is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from precisionflow.evaluation.distribution import PARAMETERS, Distribution
from precisionflow.evaluation.predictions import pooled, predictions_table, predictive_distribution
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.schemas import PREDICTIONS
from precisionflow.report.predictions import read_numbers

ROWS, RANDOM = 6, np.random.default_rng(0)


def invented(family, components=1, *, location_std=False):
    shape = (ROWS, components)
    scale = RANDOM.uniform(0.5, 2.0, shape)
    weight = RANDOM.uniform(0.1, 1.0, shape)
    return Distribution(
        family,
        RANDOM.normal(size=shape),
        scale,
        weight / weight.sum(axis=1, keepdims=True),
        RANDOM.uniform(3, 9, shape) if family == "student_t" else None,
        0.5 * scale if location_std else None,
    )


def table_of(predicted):
    return predictions_table(predicted, row=np.arange(ROWS), target=np.linspace(-1, 1, ROWS))


def broken(table, name, row, values):
    cells = table[name].to_pylist()
    cells[row] = values
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), pa.array(cells, table.schema.field(name).type))


def assert_same(given, wanted):
    assert given.family == wanted.family
    for name in PARAMETERS:
        np.testing.assert_array_equal(getattr(given, name), getattr(wanted, name))


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("family", ["gaussian", "student_t", "laplace"])
def test_through_a_file_and_back(family, components, tmp_path):
    predicted = invented(family, components)
    write_parquet(table_of(predicted), tmp_path / "predictions.parquet", PREDICTIONS)
    table = read_parquet(tmp_path / "predictions.parquet", PREDICTIONS)
    assert_same(predictive_distribution(table), predicted)
    np.testing.assert_array_equal(table["target"].to_numpy(), np.linspace(-1, 1, ROWS))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("family", ["gaussian", "student_t", "laplace"])
def test_mean_and_std_stand_beside_the_distribution_and_agree_with_it(family, scale):
    one = invented(family, 3)
    predicted = Distribution(
        family, scale * one.location, scale * one.scale, one.weight, one.degrees_of_freedom
    )
    table = table_of(predicted)
    samples = predicted.rows(np.repeat(0, 100_000)).sample(np.random.default_rng(1))
    error = 4 * samples.std() / np.sqrt(len(samples))
    assert table["mean"][0].as_py() == pytest.approx(samples.mean(), abs=error)
    assert table["std"][0].as_py() == pytest.approx(samples.std(), rel=0.05)
    for name in ("mean", "std"):
        moved = broken(table, name, 2, table[name][2].as_py() * (1 + 1e-3))
        with pytest.raises(ValueError, match=f"^predictions: {name}, row 2: .* should be that of the row's"):
            predictive_distribution(moved)


def test_the_std_of_a_location_comes_back():
    predicted = invented("gaussian", 2, location_std=True)
    assert_same(predictive_distribution(table_of(predicted)), predicted)


def test_some_rows_of_a_table_are_those_rows():
    predicted = invented("student_t", 2)
    assert_same(predictive_distribution(table_of(predicted).slice(2, 3)), predicted.rows(slice(2, 5)))


def test_pooled_rows_keep_their_densities():
    parts = [invented("gaussian", 2), invented("gaussian", 4)]
    both, target = pooled(parts), RANDOM.normal(size=2 * ROWS)
    apart = np.concatenate([parts[0].log_density(target[:ROWS]), parts[1].log_density(target[ROWS:])])
    np.testing.assert_allclose(both.log_density(target), apart, rtol=1e-12)
    np.testing.assert_allclose(both.std, np.concatenate([part.std for part in parts]), rtol=1e-12)


def test_pooled_location_stds_and_degrees():
    assert pooled([invented("gaussian", location_std=True)] * 2).location_std.shape == (2 * ROWS, 1)
    assert pooled([invented("student_t"), invented("student_t", 3)]).degrees_of_freedom.shape == (2 * ROWS, 3)


# (column, row, cell, message)
BAD = [
    ("scale", 4, [0.0, 1.0], r"scale, row 4: given \[0\. 1\.\]; should be positive"),
    ("scale", 2, [1.0, -1.0], r"scale, row 2: given .*; should be positive"),
    ("weight", 3, [0.5, 0.4], r"weight, row 3: given 0\.9; should sum to 1"),
    ("weight", 3, [1.5, -0.5], r"weight, row 3: given .*; should not be negative"),
    ("location", 5, [1.0], r"location, row 5: given 1; should have 2 components"),
    ("scale", 1, [1.0, float("nan")], r"column 'scale', row 1: nan; every cell needs a finite number"),
    ("location", 0, [], r"location, row 1: given 2; should have 0 components"),
    ("location_std", 2, [0.1, 0.1], r"location_std, row 2: given 2; should have 0 components"),
    ("degrees_of_freedom", 0, [3.0, 3.0], r"degrees_of_freedom, row 1: given 0; should have 2 components"),
    ("family", 1, "laplace", r"family, row 1: given laplace; should be gaussian, as in row 0"),
]


@pytest.mark.parametrize(("name", "row", "cell", "message"), BAD)
def test_a_broken_row_is_named(name, row, cell, message):
    table = broken(table_of(invented("gaussian", 2)), name, row, cell)
    with pytest.raises(ValueError, match=rf"^p\.parquet: .*{message}"):
        predictive_distribution(table, origin="p.parquet")


@pytest.mark.parametrize("name", PARAMETERS)
def test_columns_of_unequal_components(name):
    longer, table = table_of(invented("student_t", 3)), table_of(invented("student_t", 2))
    given = [[0.1] * 3] * ROWS if name == "location_std" else longer[name].to_pylist()
    index = table.schema.get_field_index(name)
    mixed = table.set_column(index, table.schema.field(name), pa.array(given, table.schema.field(name).type))
    with pytest.raises(
        ValueError, match=r"^predictions: \w+, row 0: has [23] components, location [23]; should"
    ):
        predictive_distribution(mixed)


@pytest.mark.parametrize("cell", [[0.0, 4.0], [-1.0, 4.0]])
def test_degrees_of_freedom_are_positive(cell):
    table = broken(table_of(invented("student_t", 2)), "degrees_of_freedom", 3, cell)
    with pytest.raises(
        ValueError, match=r"degrees_of_freedom, row 3: given .*; should be positive; delete its folder"
    ):
        predictive_distribution(table)


def test_no_rows_and_unknown_families():
    table = table_of(invented("gaussian"))
    with pytest.raises(ValueError, match="no rows; give at least one"):
        predictive_distribution(table.slice(0, 0))
    cauchy = table.set_column(2, table.schema.field("family"), pa.array(["cauchy"] * ROWS))
    with pytest.raises(ValueError, match="family, row 0: given cauchy; should be one of gaussian"):
        predictive_distribution(cauchy)


@pytest.mark.parametrize(
    ("cell", "message"), [([0.0], "scale, row 1: given"), ([np.inf], "'scale', row 1: inf")]
)
def test_the_report_names_the_file_of_a_broken_row(cell, message, tmp_path):
    file = tmp_path / "predictions.parquet"
    pq.write_table(broken(table_of(invented("gaussian")), "scale", 1, cell), file)
    with pytest.raises(ValueError, match=rf"^{file}: .*{message}"):
        read_numbers([tmp_path])
