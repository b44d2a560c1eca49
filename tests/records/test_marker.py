"""What a stage wrote is what the next one reads: flipped bits, swapped and missing files, a damaged marker."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from precisionflow.evaluation.distribution import gaussian
from precisionflow.evaluation.predictions import predictions_table
from precisionflow.records.files import read_parquet, write_card, write_parquet
from precisionflow.records.marker import MARKER, check_written, digests_of, read_marker, sha256_of
from precisionflow.records.schemas import METRICS, PREDICTIONS, REGRESSION_ROWS
from precisionflow.results.stage import once


def rows() -> pa.Table:
    noise = np.random.default_rng(0)
    features = pa.array(noise.normal(size=(60, 4)).tolist(), REGRESSION_ROWS.field("features").type)
    return pa.table({"row": np.arange(60), "features": features, "target": noise.normal(size=60)})


def predictions() -> pa.Table:
    noise = np.random.default_rng(1)
    stated = gaussian(noise.normal(size=60), np.exp(noise.normal(size=60)))
    return predictions_table(stated, row=np.arange(60), target=noise.normal(size=60))


def metrics() -> pa.Table:
    labels = {"experiment": "e", "variant": "v", "dataset": "d", "seed": 0, "split": 0, "test": 64 * "0"}
    values = [
        {"metric": f"m{i}", "value": i / 7, "n": 60, "n_train": 540, "chance": [i / 3] * (i % 2)}
        for i in range(20)
    ]
    return pa.Table.from_pylist([labels | value for value in values], METRICS)


TABLES: dict[str, tuple[Callable[[], pa.Table], pa.Schema]] = {
    "train.parquet": (rows, REGRESSION_ROWS),
    "predictions.parquet": (predictions, PREDICTIONS),
    "metrics.parquet": (metrics, METRICS),
}


def stage(out: Path, name: str) -> Path:
    """The file of a finished stage that wrote one table."""
    table, schema = TABLES[name]
    once(out, verb="train", inputs=name, work=lambda folder: write_parquet(table(), folder / name, schema))
    return out / name


def flips(path: Path) -> list[str]:
    """What reading says to each of 400 single flipped bits; empty where the table is the same."""
    schema = TABLES[path.name][1]
    data, whole, chance = path.read_bytes(), read_parquet(path, schema), random.Random(0)
    said = []
    for _ in range(400):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert read_parquet(path, schema).equals(whole), "other numbers without a word"
            said.append("")
        except ValueError as error:
            said.append(str(error))
    path.write_bytes(data)
    assert read_parquet(path, schema).equals(whole)
    return said


@pytest.mark.parametrize("name", TABLES)
def test_a_flipped_bit_is_refused_with_the_stage_to_run_again(name: str, tmp_path: Path) -> None:
    path = stage(tmp_path / "out", name)
    assert set(flips(path)) == {
        f"{path}: does not hold what train wrote, its sha256 is another; "
        f"delete {path.parent} and run train again"
    }


@pytest.mark.parametrize("name", TABLES)
def test_without_a_marker_the_checksums_of_its_pages_refuse_it(name: str, tmp_path: Path) -> None:
    path = stage(tmp_path / "out", name)
    (path.parent / MARKER).unlink()
    said = [line for line in flips(path) if line]
    assert len(said) > 200
    assert [line for line in said if not line.startswith(f"{path}: ") or "\n" in line] == []


def test_the_result_of_other_inputs_is_refused(tmp_path: Path) -> None:
    one, other = stage(tmp_path / "one", "metrics.parquet"), stage(tmp_path / "other", "metrics.parquet")
    table = metrics().set_column(6, METRICS.field("value"), [np.arange(20.0)])
    write_parquet(table, other, METRICS)
    with pytest.raises(ValueError, match=r"does not hold what train wrote"):
        read_parquet(other, METRICS)
    one.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=r"does not hold what train wrote"):
        read_parquet(one, METRICS)


def test_a_file_that_is_gone_or_foreign(tmp_path: Path) -> None:
    path = stage(tmp_path / "out", "metrics.parquet")
    again = rf"delete {tmp_path}/out and run train again$"
    path.rename(path.with_name("mine.parquet"))
    with pytest.raises(
        ValueError, match=rf"metrics\.parquet: does not exist, although train wrote it; {again}"
    ):
        read_parquet(path, METRICS)
    with pytest.raises(
        ValueError, match=rf"mine\.parquet: is no file of the stage train in this folder; {again}"
    ):
        read_parquet(path.with_name("mine.parquet"), METRICS)


def test_a_flipped_bit_in_the_marker_never_lets_other_bytes_pass(tmp_path: Path) -> None:
    path = stage(tmp_path / "out", "metrics.parquet")
    marker, chance = path.parent / MARKER, random.Random(0)
    written, data = marker.read_bytes(), path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    for _ in range(400):
        damaged = bytearray(written)
        damaged[chance.randrange(len(written))] ^= 1 << chance.randrange(8)
        marker.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^\S+: .+; delete \S+out and run .+ again$"):
            check_written(path)


def test_a_file_alone_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "alone.txt").write_text("x")
    for name in ("alone.txt", "nothing.txt"):
        check_written(tmp_path / name)
    (tmp_path / MARKER).write_text("{}")
    for name in ("alone.txt", "nothing.txt"):
        with pytest.raises(ValueError, match=r": is damaged; delete "):
            check_written(tmp_path / name)


def test_every_file_below_a_folder_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_text("abc")
    of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digests_of(tmp_path) == {"a/b.txt": of_abc}


def test_a_file_is_read_once_while_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("abc")
    os.utime(path, ns=(1, 1))
    reads: list[str] = []
    import hashlib

    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: reads.append(name) or digest(file, name))
    monkeypatch.setattr("precisionflow.records.marker._SETTLED", -1)
    first = sha256_of(path)
    assert sha256_of(path) == first
    assert len(reads) == 1
    path.write_text("abd")
    assert sha256_of(path) != first
    assert len(reads) == 2


def test_a_file_that_has_just_changed_is_read_again(tmp_path: Path) -> None:
    """Two writes within a tick of the file system's clock leave the same times."""
    path, found = tmp_path / "file", set()
    for text in ("abc", "abd", "abe", "abf"):
        path.write_text(text)
        found.add(sha256_of(path))
    assert len(found) == 4


def test_a_marker_is_parsed_once_while_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stage(tmp_path / "out", "metrics.parquet").parent
    monkeypatch.setattr("precisionflow.records.marker._SETTLED", -1)
    first = read_marker(folder)
    assert first is not None
    assert read_marker(folder) is first
    write_card(first.model_copy(update={"version": "another"}), folder / MARKER)
    again = read_marker(folder)
    assert again is not None
    assert again.version == "another"


def test_a_marker_that_has_just_changed_is_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a coarse clock says of its times."""
    monkeypatch.setattr("precisionflow.records.marker._state", lambda _: (0,))
    folder, found = stage(tmp_path / "out", "metrics.parquet").parent, set()
    text = (folder / MARKER).read_text()
    for key in ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"):
        (folder / MARKER).write_text(json.dumps(json.loads(text) | {"key": key}))
        marker = read_marker(folder)
        found.add(marker and marker.key)
    assert len(found) == 4


def test_the_marker_is_json_that_names_the_files(tmp_path: Path) -> None:
    path = stage(tmp_path / "out", "metrics.parquet")
    assert json.loads((path.parent / MARKER).read_text())["files"] == {path.name: sha256_of(path)}
