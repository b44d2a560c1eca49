"""Tables through `prepare`: which rows go where, and what standardises them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.preprocessing import StandardScaler

from precisionflow.data.folds import cut_validation
from precisionflow.data.prepare import prepare
from precisionflow.data.readers import number_file
from precisionflow.data.standardisation import Moments
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card, read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import data_folder

PARTS = ("train", "valid", "test")
UCI_ROWS = {
    "bostonHousing": (13, 506),
    "concrete": (8, 1030),
    "energy": (8, 768),
    "kin8nm": (8, 8192),
    "power-plant": (4, 9568),
    "wine-quality-red": (11, 1599),
    "yacht": (6, 308),
}


def read_part(folder, part):
    """(rows, features, target) of one part."""
    table = read_parquet(folder / f"{part}.parquet", REGRESSION_ROWS)
    return table["row"].to_numpy(), np.array(table["features"].to_pylist()), table["target"].to_numpy()


def prepared(experiment, out, split=0):
    prepare([experiment], out=out)
    folder = data_folder(out, experiment, split)
    return folder, read_card(folder / "dataset.json", DatasetCard)


def test_parts_hold_the_files_rows_standardised_by_the_training_rows(folder, regression, tmp_path):
    path = folder()
    source = np.loadtxt(path / "data.txt")
    for split in (0, 1):
        out, card = prepared(regression(path, splits=(0, 1)), tmp_path / "out", split)
        parts = {part: read_part(out, part) for part in PARTS}
        train = source[parts["train"][0]]
        oracle = StandardScaler().fit(train)
        for part, (rows, features, target) in parts.items():
            expected = oracle.transform(source[rows])
            np.testing.assert_allclose(features, expected[:, :-1], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(target, expected[:, -1], rtol=1e-12, atol=1e-12)
            assert card.rows[part] == len(rows)
        assert parts["test"][0].tolist() == [split, 10 + split, 20 + split, 30 + split]
        assert len(parts["valid"][0]) == 4
        everything = np.concatenate([rows for rows, _, _ in parts.values()])
        assert sorted(everything) == list(range(40))
        assert card.standardisation is not None
        np.testing.assert_allclose(card.standardisation.feature_mean, train[:, :-1].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(card.standardisation.target_scale, train[:, -1].std(), rtol=1e-12)


def test_features_and_target_may_be_any_columns_in_any_order(folder, regression, tmp_path):
    path = folder(index_features=["3", "0"], index_target=["1"])
    source = np.loadtxt(path / "data.txt")
    out, card = prepared(regression(path), tmp_path / "out")
    rows, features, target = read_part(out, "test")
    assert card.standardisation is not None
    undone = features * card.standardisation.feature_scale + card.standardisation.feature_mean
    np.testing.assert_allclose(undone, source[rows][:, [3, 0]], rtol=1e-12)
    undone = target * card.standardisation.target_scale + card.standardisation.target_mean
    np.testing.assert_allclose(undone, source[rows, 1], rtol=1e-12)


@pytest.mark.parametrize("held", ["valid", "test"])
def test_held_out_rows_touch_neither_training_rows_nor_standardisation(folder, regression, tmp_path, held):
    values = np.random.default_rng(1).normal(size=(40, 4))
    first, card = prepared(regression(folder("a", values=values)), tmp_path / "out")
    rows = read_part(first, held)[0]
    values[rows] = 1e6
    second, changed = prepared(regression(folder("b", values=values)), tmp_path / "out")
    assert (first / "train.parquet").read_bytes() == (second / "train.parquet").read_bytes()
    assert (first / f"{held}.parquet").read_bytes() != (second / f"{held}.parquet").read_bytes()
    assert card.standardisation == changed.standardisation


def test_validation_draw_depends_on_the_split_and_not_on_the_order_of_rows():
    train = np.arange(100, 200)
    rest, valid = cut_validation(train, fraction=0.1, split=3)
    assert len(valid) == 10
    assert sorted([*rest, *valid]) == train.tolist()
    again = cut_validation(train[::-1], fraction=0.1, split=3)
    assert all(np.array_equal(a, b) for a, b in zip((rest, valid), again, strict=True))
    assert not np.array_equal(valid, cut_validation(train, fraction=0.1, split=4)[1])
    assert len(cut_validation(train[:4], fraction=0.01, split=0)[1]) == 1


def test_a_constant_feature_becomes_zero(folder, regression, tmp_path):
    values = np.random.default_rng(1).normal(size=(40, 3))
    values[:, 1] = 0.1  # the mean of many 0.1 is not 0.1 in float64
    values[1::2, 1] = np.nextafter(0.1, 1)  # which no scale should blow up
    values[0, 1] = 1e6  # row 0 is tested
    out, card = prepared(regression(folder(values=values)), tmp_path / "out")
    assert card.standardisation is not None
    assert card.standardisation.feature_mean[1] == pytest.approx(0.1, rel=1e-15)
    for part in PARTS:
        assert (read_part(out, part)[1][:, 1].astype(np.float32) == 0).all(), part


def test_a_feature_is_constant_by_its_training_rows_relative_to_its_size(folder, regression, tmp_path):
    values = np.random.default_rng(1).normal(size=(40, 3))
    values[:, 0] = 1e-100 * values[:, 0]
    values[:, 1] = 1e9 + values[:, 1]
    out, _ = prepared(regression(folder(values=values)), tmp_path / "out")
    np.testing.assert_allclose(read_part(out, "train")[1].std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("cells", [4, 12, 28])
def test_tiny_batches_give_the_same_rows(folder, regression, tmp_path, monkeypatch, cells):
    values = np.random.default_rng(1).normal(1e6, 1e-3, size=(40, 4))
    whole, _ = prepared(regression(folder("whole", values=values)), tmp_path / "out")
    monkeypatch.setattr(number_file, "BATCH_CELLS", cells)
    streamed, _ = prepared(regression(folder("streamed", values=values)), tmp_path / "out")
    for part in PARTS:
        for a, b in zip(read_part(whole, part), read_part(streamed, part), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert pq.ParquetFile(streamed / "train.parquet").num_row_groups > 3


def test_merged_moments_are_those_of_all_rows_far_from_zero():
    values = np.random.default_rng(0).normal(1e8, [1.0, 1e-2], size=(300, 2))
    merged = Moments.of(values[:1])
    for low, high in ((1, 8), (8, 250), (250, 300)):
        merged = merged.merge(Moments.of(values[low:high]))
    assert merged.count == 300
    np.testing.assert_allclose(merged.mean, values.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(merged.squares / 300, values.var(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(merged.high, values.max(axis=0))


@pytest.mark.parametrize(("name", "sizes"), [("diabetes", (358, 40, 44)), ("linnerud", (16, 2, 2))])
def test_scikit_learn_tables(regression, tmp_path, name, sizes):
    if name == "diabetes":
        features, target = load_diabetes(return_X_y=True, scaled=False)
    else:
        bunch = load_linnerud()
        assert bunch.target_names[0] == "Weight"
        features, target = bunch.data, bunch.target[:, 0]
    experiment = regression({"kind": "scikit_learn", "name": name}, splits=(0, 1))
    tests = []
    for split in (0, 1):
        out, card = prepared(experiment, tmp_path, split)
        assert tuple(card.rows[part] for part in PARTS) == sizes
        assert card.standardisation is not None
        for part in PARTS:
            rows, x, y = read_part(out, part)
            restored = x * card.standardisation.feature_scale + card.standardisation.feature_mean
            np.testing.assert_allclose(restored, features[rows], rtol=1e-9, atol=1e-9)
            restored = y * card.standardisation.target_scale + card.standardisation.target_mean
            np.testing.assert_allclose(restored, target[rows], rtol=1e-9)
        tests.append(read_part(out, "test")[0].tolist())
    assert tests[0] != tests[1]


@pytest.mark.parametrize("name", UCI_ROWS)
def test_standard_splits_of_the_uci_sets(raw_data: Path, regression, tmp_path, monkeypatch, name):
    columns, count = UCI_ROWS[name]
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(raw_data))
    experiment = regression({"kind": "uci_folder", "path": f"uci/{name}"}, splits=(0, 19))
    assert experiment.dataset == name
    for split in (0, 19):
        out, card = prepared(experiment, tmp_path, split)
        assert sum(card.rows.values()) == count
        train, test = (
            np.loadtxt(raw_data / f"uci/{name}/index_{kind}_{split}.txt") for kind in ("train", "test")
        )
        parts = {part: read_part(out, part) for part in PARTS}
        assert parts["test"][0].tolist() == sorted(test)
        assert sorted([*parts["train"][0], *parts["valid"][0]]) == sorted(train)
        _, features, target = parts["train"]
        assert features.shape[1] == columns
        np.testing.assert_allclose([features.mean(axis=0).max(), target.mean()], 0, atol=1e-10)
        np.testing.assert_allclose([*features.std(axis=0), target.std()], 1, rtol=1e-10)
