"""Cuts of a file's rows: parts share no row, no group, no time; k folds test every row once."""

import numpy as np
import pandas as pd
import pytest

from precisionflow.config.tables import GroupedSplit, KFoldSplit, RandomSplit, TimeOrderedSplit
from precisionflow.data.cuts import cut_rows
from precisionflow.data.folds import cut_test, cut_validation, share_of
from precisionflow.data.prepare import prepare
from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import REGRESSION_ROWS
from precisionflow.results.layout import PARTS, data_folder

SEEDS = range(25)


def parts(config, rows, keys=None, split=0, fraction=0.1):
    """(training, validation, test rows); they are apart, and all rows together."""
    cut = cut_rows(config, rows, keys, split=split, origin="t.csv")
    train, valid = cut.validation(fraction)
    together = np.concatenate([train, valid, cut.test])
    assert np.array_equal(np.sort(together), rows)
    assert min(map(len, (train, valid, cut.test))) > 0
    return train, valid, cut.test


def groups_of(seed, rows):
    random = np.random.default_rng([seed, 1])
    names = [f"group {i}" for i in range(random.integers(4, 30))]
    shares = random.dirichlet(np.full(len(names), 0.7))
    keys = np.array([*names, *random.choice(names, rows - len(names), p=shares)], dtype=object)
    return random.permutation(keys)


def test_without_a_word_it_is_the_draw_of_every_source() -> None:
    for rows in (*range(10, 200), 1005, 99_995):
        train, test = cut_test(rows, split=3)
        kept = np.arange(rows) * 2
        cut = cut_rows(RandomSplit(), kept, None, split=3, origin="t")
        assert np.array_equal(cut.train, kept[train])
        assert np.array_equal(cut.test, kept[test])
        assert len(test) == max(1, round(rows / 10)) == share_of(rows, 0.1)
        rest = cut_validation(cut.train, fraction=0.1, split=3)
        assert all(np.array_equal(a, b) for a, b in zip(cut.validation(0.1), rest, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_group_is_in_two_parts_whatever_the_order_of_the_rows(seed) -> None:
    rows = np.arange(200)
    keys = groups_of(seed, 200)
    for split in (0, 1):
        found = parts(GroupedSplit(column="g", test_fraction=0.2), rows, keys, split)
        names = [set(keys[part]) for part in found]
        assert names[0].isdisjoint(names[1] | names[2])
        assert names[1].isdisjoint(names[2])
        order = np.random.default_rng(seed).permutation(200)
        again = parts(GroupedSplit(column="g", test_fraction=0.2), rows, keys[order], split)
        assert [set(keys[order][part]) for part in again] == names


def test_groups_of_one_size_give_the_share() -> None:
    keys = np.repeat(np.arange(50), 4).astype(str).astype(object)
    tested = [len(parts(GroupedSplit(column="g"), np.arange(200), keys, split)[2]) for split in range(30)]
    assert set(tested) == {20}
    assert len({tuple(parts(GroupedSplit(column="g"), np.arange(200), keys, s)[2]) for s in range(30)}) == 30


@pytest.mark.parametrize("seed", SEEDS)
def test_time_runs_from_training_to_validation_to_test(seed) -> None:
    random = np.random.default_rng(seed)
    times = random.integers(0, 60, 200).astype(float)
    config = TimeOrderedSplit(column="t", test_fraction=0.15)
    tested: list[int] = []
    for split in range(3):
        cut = cut_rows(config, np.arange(200), times, split=split, origin="t")
        train, valid = cut.validation(0.1)
        assert times[train].max() < times[valid].min()
        assert times[valid].max() < times[cut.test].min()
        assert len(cut.test) >= 30
        assert len(cut.test) <= 30 + 20
        assert set(cut.train) == set(train) | set(valid)
        assert not set(tested) & (set(cut.test) | set(cut.train))
        tested += cut.test.tolist()
        assert len(cut.train) == 200 - len(tested)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("grouped", [False, True])
def test_k_folds_test_every_row_once_in_every_repeat(seed, grouped) -> None:
    rows = np.arange(90) * 3
    keys = groups_of(seed, 90) if grouped else None
    k = 4
    config = KFoldSplit(k=k, group="g" if grouped else None)
    repeats = []
    for repeat in (0, 1):
        folds = [parts(config, rows, keys, split=repeat * k + fold) for fold in range(k)]
        assert np.array_equal(np.sort(np.concatenate([test for _, _, test in folds])), rows)
        sizes = [len(test) for _, _, test in folds]
        if keys is None:
            assert max(sizes) - min(sizes) <= 1
        else:
            for train, valid, test in folds:
                a, b, c = ({*keys[np.isin(rows, part)]} for part in (train, valid, test))
                assert a.isdisjoint(b | c)
                assert b.isdisjoint(c)
        repeats.append({tuple(test) for _, _, test in folds})
    if keys is None or len(set(keys)) > 3 * k:
        assert repeats[0] != repeats[1]


REFUSED = [
    (GroupedSplit(column="g"), ["a", "b"] * 20, 0, "column 'g' has 2 groups; 3 are the fewest"),
    (KFoldSplit(k=5, group="g"), ["a", "b", "c", "d"] * 10, 0, "column 'g' has 4 groups; 5 are the fewest"),
    (KFoldSplit(k=50), None, 0, "has 40 rows for 50 folds; lower task.source.split.k"),
    (TimeOrderedSplit(column="t"), [1.0] * 40, 0, "column 't' has no times left for split 0"),
    (TimeOrderedSplit(column="t"), np.arange(40.0), 12, "column 't' has no times left for split 12"),
]


@pytest.mark.parametrize(("config", "keys", "split", "problem"), REFUSED)
def test_cuts_that_leave_a_part_empty_are_refused(config, keys, split, problem) -> None:
    given = None if keys is None else np.array(keys, dtype=object if isinstance(keys[0], str) else float)
    with pytest.raises(ValueError, match=r"^t\.csv: ") as caught:
        cut_rows(config, np.arange(40), given, split=split, origin="t.csv")
    assert problem in str(caught.value)


FRAME = pd.DataFrame(
    {
        "a": np.random.default_rng(0).normal(size=60).round(3),
        "patient": np.arange(60) // 5,
        "when": pd.date_range("2026-01-01", periods=60).strftime("%Y-%m-%d")[::-1],
        "part": ["train"] * 40 + ["dev"] * 8 + ["test"] * 12,
        "y": np.random.default_rng(1).normal(size=60).round(3),
    }
)


def rows_of(regression, folder, split, number=0, frame=FRAME, **source):
    """Rows of each part, the features, and what was told."""
    path = folder / "t.csv"
    frame.to_csv(path, index=False)
    given = {"kind": "table_file", "path": str(path), "target": "y", "split": split} | source
    experiment, lines = regression(given, splits=(number,)), []
    prepare([experiment], out=folder / "out", report=lines.append)
    out = data_folder(folder / "out", experiment, number)
    found = {
        part: read_parquet(out / f"{part}.parquet", REGRESSION_ROWS)["row"].to_pylist() for part in PARTS
    }
    return found, lines


def test_files_are_cut_as_their_columns_say(regression, tmp_path) -> None:
    only = {"features": ["a"]}
    found, lines = rows_of(regression, tmp_path, {"kind": "grouped", "column": "patient"}, **only)
    patients = [set(FRAME["patient"][rows]) for rows in found.values()]
    assert sum(map(len, patients)) == 12
    assert lines == ["t split 0: prepared"]
    found, _ = rows_of(regression, tmp_path, {"kind": "time_ordered", "column": "when"}, **only)
    assert found == {"train": [*range(11, 60)], "valid": [*range(6, 11)], "test": [*range(6)]}
    found, _ = rows_of(regression, tmp_path, {"kind": "time_ordered", "column": "when"}, 1, **only)
    assert found["test"] == [*range(6, 12)]
    found, _ = rows_of(regression, tmp_path, {"kind": "given", "column": "part"}, **only)
    assert found == {"train": [*range(40)], "valid": [*range(40, 48)], "test": [*range(48, 60)]}
    found, _ = rows_of(regression, tmp_path, {"kind": "given", "column": "part", "valid": []}, **only, frame=(
        FRAME.replace("dev", "train")
    ))  # fmt: skip
    assert len(found["valid"]) == 5
    assert found["test"] == [*range(48, 60)]
    again, _ = rows_of(regression, tmp_path, {"kind": "given", "column": "part", "valid": []}, 1, **only, frame=(
        FRAME.replace("dev", "train")
    ))  # fmt: skip
    assert again["test"] == found["test"]
    assert again["valid"] != found["valid"]


def test_the_column_of_a_cut_is_no_feature_unless_it_is_named(regression, tmp_path) -> None:
    frame = FRAME[["a", "patient", "y"]]
    _, lines = rows_of(regression, tmp_path, {"kind": "grouped", "column": "patient"}, frame=frame)
    assert lines[0] == (
        f"{tmp_path / 't.csv'}: column 'patient' says how rows are cut and left out; name it in "
        "task.source.features if it "
        "says something"
    )


@pytest.mark.parametrize(
    ("split", "number", "frame", "problem"),
    [
        ({"kind": "given", "column": "part"}, 1, FRAME, "says which rows validate, so there is no split 1;"),
        ({"kind": "given", "column": "part"}, 0, FRAME.replace("dev", "?"), "row 40 (counted from 0), column 'part': "
         "'?' is no part; write one of train, training, valid, validation, dev, val, test"),
        ({"kind": "given", "column": "part"}, 0, FRAME.replace("test", "dev"), "gives no row to the test part"),
        ({"kind": "grouped", "column": "patients"}, 0, FRAME, "column 'patients' is missing (there are a, patient, "),
        ({"kind": "grouped", "column": "patient"}, 0, FRAME.assign(patient=[None] + [1] * 59),
         "row 0 (counted from 0), column 'patient': an empty cell"),
        ({"kind": "time_ordered", "column": "part"}, 0, FRAME, "row 0 (counted from 0), column 'part': 'train' is no"),
    ],
)  # fmt: skip
def test_bad_columns_of_a_cut_are_told(regression, tmp_path, split, number, frame, problem) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        rows_of(regression, tmp_path, split, number, frame, features=["a"])
    assert problem in str(caught.value)
    assert not (tmp_path / "out").exists()
