"""The stage itself: done once, done again when the source changes, whole or absent."""

import os
import re
import signal
import subprocess
import sys

import pytest

from precisionflow.config import resolve
from precisionflow.data import prepare as prepare_module
from precisionflow.data.prepare import prepare
from precisionflow.data.tasks import regression as table_module
from precisionflow.records.cards import DatasetCard
from precisionflow.records.files import read_card
from precisionflow.results.cells import training_inputs
from precisionflow.results.identity import stage_key
from precisionflow.results.layout import data_folder

FILES = ["dataset.json", "stage.json", "test.parquet", "train.parquet", "valid.parquet"]


def stamps(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "stage.json"}


def test_same_source_is_left_alone_and_a_changed_one_is_redone(folder, regression, tmp_path):
    experiment, path, lines = regression(folder()), tmp_path / "raw/toy", []
    out = data_folder(tmp_path / "out", experiment, 0)
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    assert sorted(os.listdir(out)) == FILES
    before, card = stamps(out), read_card(out / "dataset.json", DatasetCard)
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    assert stamps(out) == before

    (path / "index_test_1.txt").write_text("2\n")
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    assert stamps(out) == before, "the files of another split are no input of this one"

    (path / "index_test_0.txt").write_text("0\n10\n")
    prepare([experiment], out=tmp_path / "out", report=lines.append)
    changed = read_card(out / "dataset.json", DatasetCard)
    assert changed.source_sha256 != card.source_sha256
    assert changed.rows["test"] == 2
    assert lines == [f"toy split 0: {word}" for word in ("prepared", "unchanged", "unchanged", "prepared")]


def test_what_differs_between_splits_in_numbers_alone_is_told_once(tmp_path):
    """The median of 20 training rows and the number of repeated test rows are those of the split."""
    (tmp_path / "t1.csv").write_text(
        "x,y\n" + "".join(f"{'' if i % 5 == 0 else i * i},{i}\n" for i in range(23)) * 2
    )
    source = {"kind": "table_file", "path": str(tmp_path / "t1.csv"), "target": "y", "missing": "median"}
    task = {"kind": "regression", "source": source}
    model, objective = {"kind": "mlp"}, {"kind": "gaussian_nll"}
    whole = {"name": "t", "task": task, "model": model, "objective": objective, "splits": [0, 1, 2]}
    lines: list[str] = []
    prepare([resolve(whole)], out=tmp_path / "out", report=lines.append)
    folder = data_folder(tmp_path / "out", resolve(whole), 0).parent
    assert [re.sub(r"(of|median) [0-9]+", r"\1 #", line).partition(";")[0] for line in lines] == [
        f"{tmp_path}/t1.csv: column 'x': 10 missing values become the median #, beside them the feature 'x is missing'",
        f"{tmp_path}/t1.csv: 3 of # test rows stand in the training part too",
        *(f"t1 split {split}: prepared" for split in range(3)),
        f"{folder}: 2 notes differ from another split's in numbers alone",
    ]


def test_a_source_that_changes_while_it_is_read_is_refused(
    folder, regression, characters, tmp_path, monkeypatch
):
    """Its parts, its size and its checksum would be those of several files."""
    text = tmp_path / "a.txt"
    text.write_text("ab" * 1000)
    table = folder()
    for experiment, path in ((characters(text), text), (regression(table), table / "data.txt")):
        opening = prepare_module.open_task

        def changing(task, split, path=path, opening=opening):
            opened = opening(task, split)
            path.write_text(path.read_text().replace("a", "b").replace("1", "2"))
            return opened

        with monkeypatch.context() as patched:
            patched.setattr(prepare_module, "open_task", changing)
            with pytest.raises(ValueError, match=f"^{path}: changed while it was read; run again when"):
                prepare([experiment], out=tmp_path / "out")
        assert not (data_folder(tmp_path / "out", experiment, 0) / "dataset.json").exists()
        prepare([experiment], out=tmp_path / "out")


def test_a_changed_text_is_redone(characters, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ab" * 1000)
    experiment = characters(path)
    out = data_folder(tmp_path / "out", experiment, 0)
    prepare([experiment], out=tmp_path / "out")
    path.write_text("cd" * 1000)
    prepare([experiment], out=tmp_path / "out")
    assert read_card(out / "dataset.json", DatasetCard).tokens == ("c", "d")


def test_a_file_that_moves_keeps_its_key(regression, tmp_path):
    keys = []
    for place in ("here/beams.csv", "there/beams.csv", "there/beams.tsv", "there/other.csv"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        content = "".join(f"{i},{i * i % 7}\n" for i in range(40 + ("other" in place)))
        path.write_text(("a,y\n" + content).replace(",", "\t" if path.suffix == ".tsv" else ","))
        experiment = regression({"kind": "table_file", "path": str(path), "target": "y"})
        prepare([experiment], out=tmp_path / "out")
        inputs = training_inputs(experiment, data=tmp_path / "out", seed=0, split=0)
        keys.append((inputs["data"], stage_key("train", inputs)))
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_the_same_source_gives_the_same_bytes(folder, regression, characters, tmp_path):
    experiments = [regression(folder(), splits=(0, 1)), characters({"kind": "scikit_learn_text"})]
    for name in ("first", "second"):
        prepare(experiments, out=tmp_path / name)
    for experiment in experiments:
        for split in experiment.splits:
            first = data_folder(tmp_path / "first", experiment, split)
            second = data_folder(tmp_path / "second", experiment, split)
            assert contents(first) == contents(second)


def test_variants_of_one_task_share_a_folder_and_other_tasks_do_not(folder, regression, tmp_path):
    path, lines = folder(), []
    one = regression(path, splits=(0, 1))
    variant = one.model_copy(update={"variant": "other", "seeds": (3,)})
    prepare([one, variant, regression(path, fraction=0.3)], out=tmp_path / "out", report=lines.append)
    assert len(lines) == 3
    assert len(list((tmp_path / "out").glob("*/split-*"))) == 3


def test_an_interrupt_leaves_nothing(folder, regression, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_named):
        raise KeyboardInterrupt

    monkeypatch.setattr(table_module, "rows_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare([regression(folder())], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_redo_keeps_the_finished_folder(folder, regression, tmp_path):
    path = folder()
    experiment = regression(path)
    prepare([experiment], out=tmp_path / "out")
    out = data_folder(tmp_path / "out", experiment, 0)
    before = contents(out)
    (path / "data.txt").write_text("1 2 3 nan\n")
    with pytest.raises(ValueError, match="line 1, column 4"):
        prepare([experiment], out=tmp_path / "out")
    assert contents(out) == before
    assert os.listdir(out.parent) == ["split-0"]


KILLED = """
import os, signal, sys
from pathlib import Path
from precisionflow.config import parse
from precisionflow.data import prepare
from precisionflow.data.tasks import regression
regression.rows_table = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
prepare.prepare([parse(sys.argv[1])], out=Path(sys.argv[2]))
"""


def test_a_killed_process_leaves_nothing_that_looks_finished(folder, regression, tmp_path):
    experiment = regression(folder())
    command = [sys.executable, "-c", KILLED, experiment.model_dump_json(), str(tmp_path / "out")]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -signal.SIGKILL
    out = data_folder(tmp_path / "out", experiment, 0)
    assert [path.name for path in out.parent.iterdir()] == [".split-0.partial"]
    prepare([experiment], out=tmp_path / "out")
    assert sorted(os.listdir(out)) == FILES
    assert os.listdir(out.parent) == ["split-0"]
