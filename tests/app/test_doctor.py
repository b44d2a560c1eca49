"""The doctor: every line is true of what it looked at, every remedy is the one, one trouble hides no other."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from precisionflow.app import doctor, doctor_device
from precisionflow.app.doctor_device import check_arithmetic
from precisionflow.records.arithmetic import ArithmeticCard, Timed, Variant
from precisionflow.records.files import write_card
from precisionflow.results.layout import Results, TrainedCell
from tests.command_line import Line


def test_this_machine_is_examined(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    code, out, err = line("doctor", "--local")
    assert (code, err) == (0, "")
    *findings, last = out.splitlines()
    assert all(re.match(r"(ok|note) +[^:]+: .", each) for each in findings)
    whats = [each[5:].split(":")[0] for each in findings]
    for what in (
        "Python",
        "packages",
        "training",
        "CPU",
        "memory",
        "disk",
        "GPUs",
        "arithmetic",
        "OMP_NUM_THREADS",
        "MLflow",
    ):
        assert what in whats
    notes = sum(each.startswith("note") for each in findings)
    assert last == f"{len(findings) - notes} ok, 0 bad, {notes} to note"


def calibrated(results: Path) -> Path:
    """A trained cell in a results folder with a measured table beside it."""
    cell = TrainedCell(Results(results).models / "e" / "d" / "v" / "seed-0-split-0")
    cell.folder.mkdir(parents=True)
    cell.card.write_text("{}")
    times = [Timed(rows=rows, median=1e-3 * rows, most=2e-3 * rows, faster=False) for rows in (1, 100)]
    quick = [each.model_copy(update={"median": each.median / 4, "faster": True}) for each in times]
    variants = (
        Variant(arithmetic="float32", error=0.0, excess_nll=0.0, times=tuple(times)),
        Variant(arithmetic="int8", error=0.031, excess_nll=-0.002, times=tuple(quick)),
    )
    write_card(
        ArithmeticCard(model="k", machine="a processor, 1 threads", largest=3.0, variants=variants),
        cell.arithmetic,
    )
    return cell.arithmetic


def test_the_measured_table_of_every_model_is_told(tmp_path: Path) -> None:
    calibrated(tmp_path)
    assert [str(finding) for finding in check_arithmetic(tmp_path)] == [
        "ok   model/e/d/v/seed-0-split-0: measured on a processor, 1 threads",
        "ok   model/e/d/v/seed-0-split-0, float32: 1 rows 1 ms, 100 rows 100 ms",
        "ok   model/e/d/v/seed-0-split-0, int8: 1 rows 0.25 ms (faster), 100 rows 25 ms (faster); error 0.031, "
        "NLL -0.002 nats",
    ]


def test_a_folder_without_tables_and_a_broken_table_are_told(tmp_path: Path) -> None:
    (nothing,) = check_arithmetic(tmp_path)
    assert (nothing.state, nothing.what) == ("note", "arithmetic")
    assert "precisionflow serve CELL --calibrate" in nothing.found
    table = calibrated(tmp_path)
    table.write_text("{")
    (broken,) = check_arithmetic(tmp_path)
    assert (broken.state, broken.mend) == ("bad", f"rm {table}")


@pytest.mark.parametrize(
    ("gpus", "torch", "device"),
    [
        ((0, False), "2.13.0", "CPU"),
        ((2, False), "2.13.0", "CUDA"),
        ((2, False), "2.13.0+cpu", "CPU"),
        ((0, True), "2.13.0+rocm7.0", "ROCm"),
        ((0, True), "2.13.0", "CPU"),
        ((1, False), "", "CPU"),
    ],
)
def test_what_differs_on_the_device_is_told(
    gpus: tuple[int, bool], torch: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_device, "gpus", lambda: gpus)
    monkeypatch.setattr(doctor_device, "torch_version", lambda: torch)
    first, *rest = doctor_device.check_device()
    assert (first.what, first.found) == (f"on {device}", doctor_device.DIFFERS[device])
    assert all(each.what == "C++ compiler" for each in rest)


def test_what_is_wrong_here_is_told_with_its_remedy(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(tmp_path / "not there"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden-word@127.0.0.1:9")
    code, out, _ = line("doctor", "--local")
    assert code == 3
    bad = [each for each in out.splitlines() if each.startswith("bad ")]
    assert bad[0].startswith("bad  OMP_NUM_THREADS: 'many' is no number of threads from 1 to ")
    assert (
        bad[1]
        == f"bad  PRECISIONFLOW_DATA: {tmp_path}/not there is no folder; mend: mkdir -p '{tmp_path}/not there'"
    )
    assert bad[2].startswith("bad  MLflow: http://127.0.0.1:9 does not answer (")
    assert "hidden-word" not in out
    assert len(bad) == 3


def test_settings_that_are_right_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "yacht").mkdir()
    threads, data, mlflow = doctor.check_settings()
    assert threads.state == data.state == mlflow.state == "ok"
    assert data.found == f"{tmp_path} with yacht"
    assert mlflow.found == f"sqlite:///{tmp_path}/mlflow.db answers"


def test_a_package_is_compared_with_what_is_asked_for() -> None:
    assert doctor.problem(Requirement("numpy>=1")) is None
    assert doctor.problem(Requirement("no-such-package>=1")) == "no-such-package is not installed"
    wrong = doctor.problem(Requirement("numpy>=999"))
    assert wrong
    assert re.fullmatch(r"numpy is [\d.]+, not >=999", wrong)
    named = {
        extra: {r.name for r in doctor.requirements(extra)} for extra in ("", "train", "cluster", "search")
    }
    assert "pydantic" in named[""]
    assert "torch" in named["train"]
    assert "kubernetes" in named["cluster"]
    assert "optuna" in named["search"]
    assert not named[""] & (named["train"] | named["search"])
