"""Names of raw data in the workspace, and what a user is told about data that is missing there."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest

from precisionflow.cluster.workspace.local import (
    digests,
    files_below,
    listing,
    missing,
    sized,
    usual_name,
    workspace_name,
)
from precisionflow.cluster.workspace.volume import Held, Stored
from precisionflow.config.places import by_name
from precisionflow.records.raw import tree_sha256


def held(**files: bytes) -> Held:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    stored = {name: Stored(len(files[name]), digest) for name, digest in digests.items()}
    return Held(stored, free=1, total=2, writable=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that PRECISIONFLOW_DATA names, with a table and a folder of a data set."""
    made = tmp_path / "raw"
    (made / "uci" / "yacht").mkdir(parents=True)
    (made / "beams.csv").write_bytes(b"x,y\n1,2\n")
    (made / "uci" / "yacht" / "data.txt").write_bytes(b"1 2\n")
    (made / "uci" / "yacht" / ".hidden").write_bytes(b"")
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(made))
    return made


def test_names_in_the_workspace(folder: Path, tmp_path: Path) -> None:
    """A source's path is called as the pods are told it, whatever it is called when it is put."""
    for path in ("uci/yacht", "/data/other/beams.csv", "/workspace/data/beams.csv"):
        tree = {"task": {"source": {"path": path}}}
        told = by_name(tree, workspace="/workspace")["task"]["source"]["path"]
        assert PurePosixPath("/workspace/data", told) == PurePosixPath(
            "/workspace/data", workspace_name(path)
        )
    assert usual_name(folder / "uci" / "yacht") == "uci/yacht"
    assert usual_name(tmp_path / "other" / "beams.csv") == "beams.csv"
    assert list(files_below(folder / "uci" / "yacht", "uci/yacht")) == ["uci/yacht/data.txt"]


def test_what_is_there_and_the_same_is_not_missing(folder: Path) -> None:
    there = held(**{"beams.csv": b"x,y\n1,2\n", "uci/yacht/data.txt": b"1 2\n"})
    assert missing(["beams.csv", "uci/yacht", str(folder / "beams.csv")], there, claim="w") is None
    assert missing([], held(), claim="w") is None


def test_digests_there_are_those_that_a_run_would_find(folder: Path) -> None:
    """Of a file and of a folder, whose files lie at two depths and in an order that texts and paths do not share."""
    content = {"a/b.txt": b"1", "a-c.txt": b"2", "data.txt": b"1 2\n"}
    for name, text in content.items():
        file = folder / "uci" / "yacht" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text)
    there = held(
        **{"beams.csv": b"x,y\n1,2\n"} | {f"uci/yacht/{name}": text for name, text in content.items()}
    )
    found = digests(["beams.csv", "/workspace/data/beams.csv", "uci/yacht"], there)
    assert found["beams.csv"] == found["/workspace/data/beams.csv"] == tree_sha256(folder / "beams.csv")
    assert found["uci/yacht"] == tree_sha256(folder / "uci" / "yacht")


def test_a_name_that_is_not_the_usual_one_is_in_the_command(folder: Path) -> None:
    said = missing([str(folder / "uci" / "yacht")], held(), claim="w")
    assert said == (
        "yacht: is not in the workspace w; bring it there: "
        f"`precisionflow data put {folder}/uci/yacht --as yacht`"
    )


def test_what_is_only_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRECISIONFLOW_DATA", raising=False)
    assert missing(["beams.csv"], held(**{"beams.csv": b"1"}), claim="w") is None
    expected = (
        "beams.csv: is not in the workspace w; bring it there: `precisionflow data put FILE --as beams.csv`"
    )
    assert missing(["beams.csv"], held(**{"beams.csv.bak": b"1"}), claim="w") == expected


def test_what_is_absent_or_another_comes_with_the_command(folder: Path) -> None:
    said = missing(["beams.csv"], held(), claim="w")
    assert said == (
        f"beams.csv: is not in the workspace w; bring it there: `precisionflow data put {folder}/beams.csv`"
    )
    said = missing(["uci/yacht"], held(**{"uci/yacht/data.txt": b"3 4\n"}), claim="w")
    assert said == (
        "uci/yacht/data.txt: in the workspace w is not the one of this machine; replace it: "
        f"`precisionflow data put {folder}/uci/yacht --overwrite`"
    )


def test_a_line_for_each_file_says_what_was_asked() -> None:
    digest = hashlib.sha256(b"1").hexdigest()
    assert listing(held(**{"beams.csv": b"1"})) == [f"beams.csv: 1 bytes, sha256 {digest}"]
    plain = Held({"beams.csv": Stored(1)}, free=1, total=2, writable=True)
    assert listing(plain) == ["beams.csv: 1 bytes"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (3.21e6, "3.2 MB"), (5e12, "5000.0 GB")],
)
def test_sizes_in_words(count: float, words: str) -> None:
    assert sized(count) == words
