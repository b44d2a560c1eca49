"""The program inside the pod: whole files or none, what it refuses, what it tells."""

import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from precisionflow.cluster.workspace.inside import collect, look, receive, remove

BYTES = bytes(range(256)) * 9
SHA = hashlib.sha256(BYTES).hexdigest()


def put(
    folder: Path, name: str = "a/b.csv", content: bytes = BYTES, sha: str = SHA, overwrite: bool = False
) -> object:
    size = len(BYTES)
    return receive(folder, name, size=size, sha256=sha, overwrite=overwrite, source=io.BytesIO(content))


def test_a_file_arrives_whole_and_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert look(folder, digests=False)["files"] == {}
    assert put(folder) == {"state": "written", "size": len(BYTES), "sha256": SHA}
    assert (folder / "a/b.csv").read_bytes() == BYTES
    held = look(folder, digests=True)
    assert held["files"] == {"a/b.csv": {"size": len(BYTES), "sha256": SHA}}
    assert held["writable"]
    assert 0 < held["free"] <= held["total"]
    assert put(folder) == {"state": "same"}


def test_another_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.csv").write_bytes(b"older")
    assert put(tmp_path) == {"state": "other"}
    assert (tmp_path / "a/b.csv").read_bytes() == b"older"
    assert put(tmp_path, overwrite=True) == {"state": "written", "size": len(BYTES), "sha256": SHA}
    assert (tmp_path / "a/b.csv").read_bytes() == BYTES


@pytest.mark.parametrize(
    ("content", "sha", "cause"),
    [
        (BYTES[:-7], SHA, "7 of 2304 bytes did not arrive"),
        (BYTES[:-1] + b"x", SHA, "its sha256 arrived as "),
    ],
)
def test_bytes_that_got_lost_leave_nothing(tmp_path: Path, content: bytes, sha: str, cause: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.csv").write_bytes(b"older")
    with pytest.raises(ValueError, match=cause):
        put(tmp_path, content=content, sha=sha, overwrite=True)
    assert [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()] == [b"older"]


def test_no_room_is_told_before_a_byte_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no room: \d+ bytes are free, it has 1000000000000000000"):
        receive(tmp_path, "b", size=10**18, sha256=SHA, overwrite=False, source=io.BytesIO())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../b", "a/../../b", ".hidden", "a/.b"])
def test_names_stay_below_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name below the data folder"):
        put(tmp_path / "data", name)
    assert list(tmp_path.iterdir()) == []


def test_what_a_client_that_is_gone_left_is_removed_and_never_listed(tmp_path: Path) -> None:
    old, new = (tmp_path / f".b.csv.{word}.partial" for word in ("11", "22"))
    for partial in (old, new):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert look(tmp_path, digests=False)["files"] == {}
    put(tmp_path, "b.csv")
    assert sorted(file.name for file in tmp_path.iterdir()) == [new.name, "b.csv"]


def test_the_program_says_ready_and_then_its_outcome(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "precisionflow.cluster.workspace.inside", str(tmp_path / "data")]
    words = ["receive", "b.csv", str(len(BYTES)), SHA]
    done = subprocess.run([*command, *words], input=BYTES, capture_output=True, check=True)
    first, last = done.stdout.decode().splitlines()
    assert (first, json.loads(last)["state"]) == ("ready", "written")
    (tmp_path / "data" / "folder").mkdir()
    words[1] = "folder"
    done = subprocess.run([*command, *words], input=b"", capture_output=True, check=True)
    assert json.loads(done.stdout) == {"error": "folder is a folder there"}


def test_files_and_folders_are_removed_all_or_none(tmp_path: Path) -> None:
    for name in ("uci/yacht/data.txt", "uci/yacht/index.txt", "uci/wine/data.txt", "beams.csv"):
        put(tmp_path, name)
    assert remove(tmp_path, ["beams.csv", "uci/wine", "other"]) == {"absent": ["other"]}
    assert len(look(tmp_path, digests=False)["files"]) == 4
    assert remove(tmp_path, ["beams.csv", "uci/yacht"]) == {"absent": []}
    assert [*look(tmp_path, digests=False)["files"]] == ["uci/wine/data.txt"]
    assert remove(tmp_path, ["uci/wine/data.txt"]) == {"absent": []}
    assert list(tmp_path.iterdir()) == []
    for name in ("", "/", "..", "../data", ".hidden", "a/../b"):
        with pytest.raises(ValueError, match="is no name below the data folder"):
            remove(tmp_path, [name])


DAY = 86400


def aged(folder: Path, days: float, *, size: int = 5) -> Path:
    """A folder with a file, last touched some days ago."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "x").write_bytes(b"x" * size)
    for path in (folder / "model" / "x", folder / "model", folder):
        os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


def names(outcome: dict[str, list[dict[str, object]]]) -> list[object]:
    return [one["name"] for one in outcome["found"]]


def test_only_what_is_old_and_in_nobodys_hands_is_collected(tmp_path: Path) -> None:
    old, new = aged(tmp_path / "trainings" / "old", 31), aged(tmp_path / "trainings" / "new", 29)
    aged(tmp_path / "trainings" / "busy", 31)
    held = aged(tmp_path / "trainings" / "held", 31)
    aged(tmp_path / "cells" / "cell", 31)
    aged(tmp_path / "cells" / ".half.partial", 31)
    aged(tmp_path / "data", 31)
    put(tmp_path / "data", "fresh.csv")
    begun = tmp_path / "data" / ".big.csv.0123.partial"
    begun.write_bytes(b"half")
    os.utime(begun, (0, 0))
    with (held / ".turn").open("w") as lock:
        os.utime(held / ".turn", (0, 0))
        os.utime(held, (0, 0))
        fcntl.flock(lock, fcntl.LOCK_EX)
        asked = {"seconds": 30.0 * DAY, "busy": ["busy"]}
        told = collect(tmp_path, **asked, dry=True)
        assert sorted(names(told)) == [
            *("cells/.half.partial", "cells/cell", "data/.big.csv.0123.partial", "trainings/old")
        ]
        (one,) = [one for one in told["found"] if one["name"] == "trainings/old"]
        assert one["size"] >= 5
        assert 31 * DAY <= one["age"] < 32 * DAY
        assert old.exists()
        assert begun.exists()
        assert collect(tmp_path, **asked, dry=False) == told
    assert names(collect(tmp_path, **asked, dry=False)) == ["trainings/held"]
    assert sorted(path.name for path in (tmp_path / "trainings").iterdir()) == ["busy", "new"]
    assert list((tmp_path / "cells").iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["fresh.csv", "model"]
    (new / "model" / "checkpoint").write_text("a new one")
    assert names(collect(tmp_path, seconds=1.0, busy=["busy"], dry=False)) == []


def test_an_empty_workspace_has_nothing_to_collect(tmp_path: Path) -> None:
    assert collect(tmp_path / "none", seconds=0.0, busy=[], dry=False) == {"found": []}
