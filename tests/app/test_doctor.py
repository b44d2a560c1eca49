"""The doctor: every line is true of what it looked at, every remedy is the one, one trouble hides no other."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from precisionflow.app import doctor
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
        "OMP_NUM_THREADS",
        "MLflow",
    ):
        assert what in whats
    notes = sum(each.startswith("note") for each in findings)
    assert last == f"{len(findings) - notes} ok, 0 bad, {notes} to note"


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
