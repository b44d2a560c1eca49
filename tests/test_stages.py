"""The verbs on objects and paths: ranks start in a turn, and only where there is something to train."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from precisionflow import stages
from precisionflow.config import Experiment, parse
from precisionflow.records.raw import tree_sha256
from precisionflow.training import launch
from precisionflow.training.ranks import VARIABLES
from tests.command_line import TINY

RANKS = TINY + "engine: {kind: deepspeed, ranks: 2}\n"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened; ranks do not start."""
    said: list[str] = []

    def launched(variant: Experiment, *, data: Path, out: Path, metrics: bool, keep_failures: bool) -> None:
        said.append(f"{variant.name} {data.name} {out.name} {metrics} {keep_failures}")

    monkeypatch.setattr(launch, "launch", launched)
    for name in (*VARIABLES, "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    return said


def test_ranks_start_inside_a_turn(events: list[str], tmp_path: Path) -> None:
    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        events.append("begins")
        yield
        events.append("ends")

    variant = parse(RANKS)
    stages.prepare([variant], out=tmp_path / "data")
    stages.train(variant, data=tmp_path / "data", out=tmp_path / "model", metrics=True, turn=turn)
    assert events == ["begins", "tiny data model True False", "ends"]


def test_one_process_waits_for_no_turn_and_trains_once(
    events: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def turn() -> contextlib.nullcontext[None]:
        raise AssertionError("no ranks start")

    variant, places = parse(TINY), {"data": tmp_path / "data", "out": tmp_path / "model"}
    stages.prepare([variant], out=places["data"])
    stages.train(variant, **places, turn=turn)
    assert "train tiny linnerud default seed 0 split 0: step 2/2" in capsys.readouterr().out
    stages.train(variant, **places, turn=turn)
    assert capsys.readouterr().out == ""
    assert events == []


def test_every_variant_of_every_experiment() -> None:
    axes = "ablation: {axes: {steps: {few: {training.steps: 1}, more: {training.steps: 3}}}}\n"
    variants = stages.expand([parse(TINY + axes), parse(TINY)])
    assert [(v.variant, v.training.steps) for v in variants] == [("few", 1), ("more", 3), ("default", 2)]


def test_raw_files_are_identified_by_their_bytes_and_a_changed_one_is_not_prepared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,y\n" + "".join(f"{i % 7},{i}\n" for i in range(40)))
    source = f"{{kind: table_file, path: {file}, target: y}}"
    variant = parse(TINY.replace("{kind: scikit_learn, name: linnerud}", source))
    found = stages.identify([variant, variant, parse(TINY)])
    assert found == {str(file): hashlib.sha256(file.read_bytes()).hexdigest()}
    assert capsys.readouterr().out == f"precisionflow: identify {file}: sha256 {found[str(file)]}\n"
    stages.prepare([variant], out=tmp_path / "data", files=found)
    file.write_text(file.read_text().replace("6,6", "6,7"))
    with pytest.raises(
        ValueError, match=r"rows.csv: has changed since this run began, its sha256 was .*; submit"
    ):
        stages.prepare([variant], out=tmp_path / "other", files=found)
    assert not (tmp_path / "other").exists()


def test_a_folder_is_identified_by_names_and_bytes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    seen = set()
    for name, text in (("one", ""), ("deep/two", "x"), ("deep/two", "y"), (".hidden", "x"), ("three", "")):
        (tmp_path / "a" / name).write_text(text)
        seen.add(tree_sha256(tmp_path / "a"))
    assert len(seen) == 4, "all but the hidden file"
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="b: holds no file"):
        tree_sha256(tmp_path / "b")
