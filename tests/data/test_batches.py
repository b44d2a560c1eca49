"""Windows and batches: pure functions of (seed, step), shared out over ranks without loss."""

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.data.batches import Rows, TokenWindows
from precisionflow.data.prepare import prepare
from precisionflow.data.streams import Stream
from precisionflow.records import schemas
from precisionflow.records.files import read_parquet, write_parquet
from precisionflow.records.schemas import REGRESSION_ROWS, WEIGHT, without
from precisionflow.results.layout import data_folder

TOKENS = TokenWindows(np.arange(1000, 1103, dtype=np.int32))


def rows(count):
    index = np.arange(count)
    return Rows(index, np.stack([index, -index], axis=1).astype(np.float32), (10 * index).astype(np.float32))


def test_windows_are_consecutive_tokens_from_everywhere():
    windows = np.concatenate(
        [TOKENS.windows(step, stream=Stream(1), batch_size=50, context=7) for step in range(60)]
    )
    assert windows.shape == (3000, 8)
    assert windows.dtype == np.int32
    assert (np.diff(windows, axis=1) == 1).all()
    starts, counts = np.unique(windows[:, 0], return_counts=True)
    assert starts.tolist() == list(range(1000, 1096)), "first and last possible start are drawn"
    # Counts are multinomial: their chi-square has 95 degrees of freedom, mean 95 and standard deviation 13.8.
    assert abs((np.square(counts - 3000 / 96) / (3000 / 96)).sum() - 95) < 5 * 13.8


def test_windows_depend_on_seed_and_step_only():
    def draw(step, seed):
        return TOKENS.windows(step, stream=Stream(seed), batch_size=6, context=5)

    late = draw(9, 2)
    draw(0, 0)
    np.testing.assert_array_equal(draw(9, 2), late)
    assert not np.array_equal(draw(8, 2), late)
    assert not np.array_equal(draw(9, 3), late)
    assert not np.array_equal(draw(8, 3), late)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_ranks_share_the_windows_in_order(ranks):
    shares = [
        TOKENS.windows(4, stream=Stream(0), batch_size=12, context=5, rank=r, ranks=ranks)
        for r in range(ranks)
    ]
    np.testing.assert_array_equal(
        np.concatenate(shares), TOKENS.windows(4, stream=Stream(0), batch_size=12, context=5)
    )
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("context", [1, 6, 17, 50, 102])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_consecutive_windows_have_every_token_but_the_first_as_target_once(context, batch_size):
    batches = list(TOKENS.consecutive(context, batch_size=batch_size))
    targets = np.concatenate([batch[:, 1:].ravel() for batch in batches])
    np.testing.assert_array_equal(targets, TOKENS.ids[1:])
    assert all((np.diff(batch, axis=1) == 1).all() for batch in batches)
    assert all(batch.shape[1] == context + 1 for batch in batches[:-1])
    assert batches[-1].shape[1] <= context + 1


@pytest.mark.parametrize(("count", "batch_size"), [(20, 5), (17, 5), (7, 6), (10, 1)])
def test_every_row_comes_once_an_epoch(count, batch_size):
    steps = 3 * count
    drawn, other = (
        np.concatenate(
            [rows(count).drawn(step, stream=Stream(seed), batch_size=batch_size) for step in range(steps)]
        )
        for seed in (1, 2)
    )
    epochs = drawn[: len(drawn) // count * count].reshape(-1, count)
    assert (np.sort(epochs, axis=1) == np.arange(count)).all()
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(drawn, other)


def test_batches_depend_on_seed_and_step_only():
    late = rows(17).drawn(40, stream=Stream(3), batch_size=5).copy()
    rows(17).drawn(0, stream=Stream(0), batch_size=5)
    np.testing.assert_array_equal(rows(17).drawn(40, stream=Stream(3), batch_size=5), late)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [6, 12, 17, 100])
def test_ranks_share_the_rows_in_order(ranks, batch_size):
    whole = rows(17).drawn(5, stream=Stream(0), batch_size=batch_size)
    shares = [
        rows(17).drawn(5, stream=Stream(0), batch_size=batch_size, rank=r, ranks=ranks) for r in range(ranks)
    ]
    assert len(whole) == min(batch_size, 17)
    np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_a_batch_as_large_as_the_part_is_the_part():
    for step in (0, 1):
        assert rows(5).drawn(step, stream=Stream(0), batch_size=5).tolist() == [0, 1, 2, 3, 4]


def test_rows_are_read_back(folder, regression, tmp_path):
    experiment = regression(folder())
    prepare([experiment], out=tmp_path / "out")
    path = data_folder(tmp_path / "out", experiment, 0) / "valid.parquet"
    part, table = Rows.read(path), read_parquet(path, REGRESSION_ROWS)
    assert part.rows.tolist() == table["row"].to_pylist()
    assert part.features.dtype == part.target.dtype == np.float32
    np.testing.assert_allclose(part.features, table["features"].to_pylist(), rtol=1e-6)
    np.testing.assert_allclose(part.target, table["target"].to_pylist(), rtol=1e-6)


def test_tokens_are_read_back(tmp_path):
    path = tmp_path / "train.parquet"
    write_parquet(pa.table({"token": np.arange(9, dtype=np.int32)}), path, schemas.TOKENS)
    ids = TokenWindows.read(path).ids
    assert ids.dtype == np.int32
    assert ids.tolist() == list(range(9))


def test_files_of_another_form_are_refused(tmp_path):
    path = tmp_path / "train.parquet"
    with pytest.raises(ValueError, match="does not exist; run the stage"):
        TokenWindows.read(path)
    write_parquet(pa.table({"token": np.arange(9, dtype=np.int32)}), path, schemas.TOKENS)
    with pytest.raises(ValueError, match="column 'row' is missing"):
        Rows.read(path)
    ragged = pa.table(
        {"row": [0, 1], "features": [[1.0], [1.0, 2.0]], "target": [0.0, 1.0]},
        schema=without(REGRESSION_ROWS, WEIGHT),
    )
    write_parquet(ragged, path, REGRESSION_ROWS)
    with pytest.raises(ValueError, match="column 'features' has 2 widths; run prepare again"):
        Rows.read(path)
