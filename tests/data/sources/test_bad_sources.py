"""Bad sources: one line that says where and what to do, and nothing left behind."""

import gzip
import re
import shutil

import numpy as np
import pytest

from precisionflow.data.prepare import prepare
from precisionflow.data.readers.number_file import LONGEST_LINE
from precisionflow.data.tokens.running import segments


def refused(experiment, out):
    """The message of the ValueError, after checking that it is one line and that nothing is left."""
    with pytest.raises(ValueError, match=r".") as caught:
        prepare([experiment], out=out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


def rows(count=40, **changed):
    lines = ["1.0 2.0 3.0 4.0", "2.0 3.0 5.0 9.0"] * (count // 2)
    for line, text in changed.items():
        lines[int(line.removeprefix("line")) - 1] = text
    return lines


# name: (file, its lines, what the message says after the folder and "<file>: ")
BAD_FILES = {
    "empty": ("data.txt", [], "is empty; fetch"),
    "blank": ("data.txt", ["", "  "], "holds no number; fetch"),
    "word": ("data.txt", rows(line3="1 2 x 4"), "line 3, column 3: 'x' is not a finite number; replace"),
    "comma": ("data.txt", rows(line1="1,2"), "line 1, column 1: '1,2' is not a finite number"),
    "nan": ("data.txt", rows(line40="1 nan 3 4"), "line 40, column 2: 'nan' is not a finite number"),
    "inf": ("data.txt", rows(line2="-inf 2 3 4"), "line 2, column 1: '-inf' is not a finite number"),
    "overflow": ("data.txt", rows(line2="1 2 3 1e999"), "line 2, column 4: '1e999' is not a finite number"),
    "short row": ("data.txt", rows(line7="1 2 3"), "line 7, column 4: row has 3 cells, the first 4; give"),
    "long row": ("data.txt", rows(line7="1 2 3 4 5"), "line 7, column 5: row has 5 cells, the first 4; give"),
    "after a blank line": ("data.txt", ["", *rows(line3="1 2 x 4")], "line 4, column 3: 'x'"),
    "endless line": ("data.txt", ["1 " * LONGEST_LINE], "line 1 is longer than"),
    "row beyond": (
        "index_train_0.txt",
        ["5", "6", "7", "40"],
        "line 4, column 1: index 40: there are 40 rows",
    ),
    "far row": ("index_test_0.txt", ["1e15"], "line 1, column 1: index 1000000000000000: there are 40 rows"),
    "negative row": ("index_test_0.txt", ["3", "-1"], "line 2, column 1: index -1: an index is a whole"),
    "half row": ("index_test_0.txt", ["3", "", "4.5"], "line 3, column 1: index 4.5: an index is a whole"),
    "row twice": ("index_train_0.txt", ["3", "4", "3"], "line 3, column 1: index 3: it stands there twice"),
    "overlap": ("index_test_0.txt", ["0", "1"], "line 2, column 1: index 1: it is in index_train_0.txt too"),
    "pair": ("index_test_0.txt", ["0 10"], "has 2 columns; write one index a line"),
    "word for a row": ("index_test_0.txt", ["zero"], "line 1, column 1: 'zero' is not a finite number"),
    "column beyond": ("index_features.txt", ["0", "4"], "line 2, column 1: index 4: there are 4 columns"),
    "target a feature": ("index_target.txt", ["1"], "line 1, column 1: index 1: it is in index_features.txt"),
    "two targets": ("index_target.txt", ["3", "4"], "names 2 columns; a table has one target"),
    "constant target": ("data.txt", ["1 2 3 4", "2 3 4 4"] * 20, "the target is 4 in every training row"),
    "huge": ("data.txt", rows(line2="1e300 2 3 4", line4="-1e300 2 3 4"), "feature 1 has a spread beyond"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_table(folder, regression, tmp_path, case):
    name, lines, expected = BAD_FILES[case]
    path = folder(**{name.removesuffix(".txt"): lines})
    message = refused(regression(path), tmp_path / "out")
    assert message.startswith(f"{path}/{name}: {expected}"), message


def test_blanks_of_any_kind_stand_between_cells(folder, regression, tmp_path):
    lines = rows()
    prepare([regression(folder("plain", data=lines))], out=tmp_path / "out")
    odd = ["\ufeff" + lines[0], *(f"  {line.replace(' ', chr(9) + ' ')} \r" for line in lines[1:]), "", " \t"]
    prepare([regression(folder("odd", data=odd))], out=tmp_path / "out")
    for part in ("train", "valid", "test"):
        first, second = sorted((tmp_path / "out").glob(f"*/split-0/{part}.parquet"))
        assert first.read_bytes() == second.read_bytes()


def test_one_row(folder, regression, tmp_path):
    path = folder(data=rows()[:1], index_train_0=["0"], index_test_0=["1"])
    assert "0 training rows are left of 1; 3 are the fewest" in refused(regression(path), tmp_path / "out")


def test_too_few_training_rows(folder, regression, tmp_path):
    message = refused(regression(folder(index_train_0=["1", "2", "3"])), tmp_path / "out")
    assert "data.txt: 2 training rows are left of 3; 3 are the fewest, so give more" in message


def test_bytes_that_are_no_text_in_a_table(folder, regression, tmp_path):
    path = folder()
    with (path / "data.txt").open("ab") as file:
        file.write(b"1 2 \xff 4\n")
    message = refused(regression(path), tmp_path / "out")
    assert r"line 41, column 3: '\\xff' is not a finite number" in message


@pytest.mark.parametrize("name", ["data.txt", "index_features.txt", "index_target.txt", "index_test_0.txt"])
def test_missing_file(folder, regression, tmp_path, name):
    path = folder()
    (path / name).unlink()
    message = refused(regression(path), tmp_path / "out")
    assert message.startswith(f"{path / name}: cannot be read (No such file or directory); docs/data.md")


def test_missing_folder(folder, regression, tmp_path):
    path = folder()
    shutil.rmtree(path)
    assert f"{path / 'data.txt'}: cannot be read" in refused(regression(path), tmp_path / "out")


def test_unknown_split(folder, regression, tmp_path):
    message = refused(regression(folder(), splits=(7,)), tmp_path / "out")
    assert message.endswith("has no split 7 (index_train_7.txt); its splits: 0, 1")


def test_finished_splits_outlive_a_later_bad_one(folder, regression, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="no split 7"):
        prepare([regression(folder(), splits=(0, 7))], out=out)
    assert [path.name for path in out.glob("*/*")] == ["split-0"]


def test_empty_out_of_the_user_stays(folder, regression, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    with pytest.raises(ValueError, match="nan"):
        prepare([regression(folder(data=["nan 1 2 3"]))], out=out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("start", [3, 4, (1 << 20) - 1, (1 << 20) + 1])
@pytest.mark.parametrize("bad", [b"\xff", b"\xe9abc", b"\xe2\x82x", b"\xe2\x82"])
def test_text_that_is_not_utf8(characters, tmp_path, start, bad, mark):
    path = tmp_path / "latin.txt"
    text = (mark + b"a\n" * start)[:start]
    path.write_bytes(text + bad)
    message = refused(characters(path), tmp_path / "out")
    line = text.count(b"\n") + 1
    assert message == (
        f"{path}: line {line}, byte {start} ({bad[0]:#04x}) is not UTF-8; save the text as UTF-8, or state its "
        "encoding, such as task.source.encoding: cp1252, or utf-16-le where a character has two bytes"
    )


def test_a_text_without_the_mark_that_its_encoding_needs_is_refused(characters, tmp_path):
    path = tmp_path / "wide.txt"
    path.write_bytes("ab\n".encode("utf-16-le") * 400)
    experiment = characters({"kind": "text_file", "path": str(path), "encoding": "utf-16"})
    said = f"{path}: UTF-16 stream does not start with BOM; state its encoding, such as utf-16-le"
    assert refused(experiment, tmp_path / "out") == said


def test_what_is_no_text_is_called_what_it_is(characters, tmp_path):
    path = tmp_path / "text.txt"
    for start, kind in (
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
        (b"BZh9", "compressed by bzip2"),
        (b"\xfd7zXZ\x00", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"PAR1", "a Parquet file"),
    ):
        path.write_bytes(start + bytes(100))
        message = refused(characters(path), tmp_path / "out")
        assert message == f"{path}: is {kind}, no text; give a file of text, UTF-8, plain or by gzip"
    for spoilt in (gzip.compress(b"ab" * 9000)[:-9], gzip.compress(b"ab" * 9000)[:-8] + bytes(8)):
        path.write_bytes(spoilt)
        message = refused(characters(path), tmp_path / "out")
        assert re.fullmatch(rf"{path}: cannot be read \(.+\); fetch or write it again", message)
    path.write_bytes(b"a\0b")
    assert refused(characters(path), tmp_path / "out") == (
        f"{path}: byte 1 is NUL, which no text holds; write the file again, or state its encoding where a character "
        "has two bytes or four, such as utf-16-le"
    )
    path.write_bytes(b"ab\n" * 700_000 + b"a\0b\n" + b"ab\n" * 9)
    assert refused(characters(path), tmp_path / "out") == (
        f"{path}: line 700001 holds the character NUL, which no text holds; write the file again, or state its "
        "encoding, such as task.source.encoding: utf-8, where it belongs there"
    )
    path.write_bytes("ab".encode("utf-16") + b"\x00")
    assert refused(characters(path), tmp_path / "out").startswith(
        f"{path}: line 1, byte 6 (0x00) is not UTF-16;"
    )


def test_a_word_that_is_too_long_is_placed(characters, tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "LONGEST", 30)
    path = tmp_path / "runs.txt"
    path.write_text("a b\n" * 200 + "x" * 40)
    experiment = characters(
        path, tokens={"kind": "words"}, context=4, validation_fraction=0.1, test_fraction=0.1
    )
    message = refused(experiment, tmp_path / "out")
    assert message.startswith(f"{path}: line 201: 'xxxxxxxxxxxxxxxxxxxx'... goes on for more than 30 bytes")
    path.write_text("a b\n" * 200)
    experiment = characters(path, tokens={"kind": "words", "least_count": 999}, context=4)
    message = refused(experiment, tmp_path / "out")
    assert message == (
        f"{path}: none of the words stands 999 times in the training text; lower task.tokens.least_count"
    )


def test_text_too_short_for_a_window_in_every_part(characters, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("ab" * 649)
    message = refused(characters(path), tmp_path / "out")
    part = "the valid part has 64 characters and needs task.context + 1 = 65"
    assert message.startswith(f"{path}: {part}; give")
    path.write_text("ab" * 650)
    prepare([characters(path)], out=tmp_path / "out")


@pytest.mark.parametrize("content", [None, b""])
def test_text_that_is_missing_or_empty(characters, tmp_path, content):
    path = tmp_path / "gone.txt"
    if content is not None:
        path.write_bytes(content)
    reason = "is empty" if content is not None else "cannot be read (No such file or directory)"
    assert refused(characters(path), tmp_path / "out").startswith(f"{path}: {reason}; ")


def test_a_text_has_one_split(characters, tmp_path):
    experiment = characters({"kind": "scikit_learn_text"}).model_copy(update={"splits": (1,)})
    assert "a text is cut by position, so it has no split 1" in refused(experiment, tmp_path / "out")


def test_a_relative_path_needs_the_variable(regression, folder, tmp_path, monkeypatch):
    experiment = regression({"kind": "uci_folder", "path": "toy"})
    monkeypatch.delenv("PRECISIONFLOW_DATA", raising=False)
    message = refused(experiment, tmp_path / "out")
    assert message.startswith(
        "toy: relative to the folder that PRECISIONFLOW_DATA names, which is not set; set it"
    )
    monkeypatch.setenv("PRECISIONFLOW_DATA", str(folder(values=np.eye(40, 4)).parent))
    prepare([experiment], out=tmp_path / "out")
