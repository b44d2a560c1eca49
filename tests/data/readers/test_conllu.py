"""CoNLL-U: words and tags as the format says, ranges and empty nodes skipped and counted, faults named by line."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from precisionflow.data.readers.conllu import Sentence, is_conllu, read_sentences


def row(number: str, form: str, upos: str = "X", xpos: str = "_") -> str:
    return "\t".join([number, form, "_", upos, xpos, "_", "0", "_", "_", "_"])


FILE = [
    "# sent_id = 1",
    "# text = vámonos al mar",
    row("1-2", "vámonos", "_"),
    row("1", "vamos", "VERB", "V"),
    row("2", "nos", "PRON"),
    row("3-4", "al", "_"),
    row("3", "a", "ADP", "P"),
    row("4", "el", "DET", "D"),
    row("5", "mar", "NOUN", "N"),
    "",
    "",
    row("0.1", "null", "_"),
    row("1", "Sue", "PROPN", "N"),
    row("2", "likes", "VERB", "V"),
    row("2.1", "likes", "VERB", "V"),
    row("3", "20 000", "NUM", "_"),
    row("4", "_", "SYM", "S"),
    row("5", "#", "_", "S"),
]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes(end.join([*lines, "", ""]).encode())
    return path


def read(path: Path, column: str = "upos") -> tuple[list[Sentence], Counter[str]]:
    skipped: Counter[str] = Counter()
    return list(read_sentences(path, [column], skipped)), skipped


def naive(lines: list[str], field: int) -> list[tuple[tuple[str, ...], tuple[str | None, ...]]]:
    """Blocks between empty lines; of each the lines whose first field is a whole number."""
    blocks = "\n".join(lines).split("\n\n")
    rows = [[line.split("\t") for line in block.split("\n") if "\t" in line] for block in blocks]
    words = [[fields for fields in block if fields[0].isdigit()] for block in rows]
    return [
        (tuple(f[1] for f in block), tuple(None if f[field] == "_" else f[field] for f in block))
        for block in words
        if block
    ]


def test_a_line_of_blanks_ends_a_sentence_as_an_empty_one_does(tmp_path):
    lines = [row("1", "a"), "  ", row("1", "b"), " ", "", row("1", "c")]
    assert [sentence.words for sentence in read(write(tmp_path / "a.conllu", lines))[0]] == [
        ("a",),
        ("b",),
        ("c",),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_called_so(tmp_path, encoding):
    path = tmp_path / "a.conllu"
    path.write_bytes("\n".join([row("1", "a"), "", ""]).encode(encoding))
    with pytest.raises(ValueError, match=rf"{path}: is {encoding.upper()}; save the file as UTF-8"):
        read(path)


def test_several_columns_are_read_together(tmp_path):
    """Features all together, where `_` says that there are none; a relation without its subtype."""
    lines = [
        "\t".join(["1", "Dogs", "dog", "NOUN", "NNS", "Case=Nom|Number=Plur", "2", "nsubj:pass", "_", "_"]),
        "\t".join(["2", "go", "go", "VERB", "_", "_", "0", "root", "_", "_"]),
        "\t".join(["3", "!", "!", "PUNCT", ".", "_", "2", "_", "_", "_"]),
    ]
    columns = ["upos", "deprel", "feats", "xpos"]
    (sentence,) = read_sentences(write(tmp_path / "a.conllu", lines), columns, Counter())
    assert sentence.labels == (
        ("NOUN", "nsubj", "Case=Nom|Number=Plur", "NNS"),
        ("VERB", "root", "_", None),
        ("PUNCT", None, "_", "."),
    )


@pytest.mark.parametrize(("column", "field"), [("upos", 3), ("xpos", 4)])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_words_and_tags_are_those_of_a_naive_reader(tmp_path, column, field, end):
    sentences, skipped = read(write(tmp_path / "a.conllu", FILE, end), column)
    assert [(s.words, tuple(label for (label,) in s.labels)) for s in sentences] == naive(FILE, field)
    assert [s.line for s in sentences] == [4, 13]
    assert sentences[1].words == ("Sue", "likes", "20 000", "_", "#")
    assert skipped == {"ranges": 2, "empty nodes": 2}


def test_the_last_sentence_needs_no_empty_line_and_a_mark_of_byte_order_is_no_text(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_bytes(("\ufeff# a comment\n" + row("1", "Hi\u2028you", "INTJ")).encode())
    (sentence,), _ = read(path)
    assert sentence == Sentence(2, 0, ("Hi\u2028you",), (("INTJ",),))


def test_documents_are_counted_by_their_marks(tmp_path):
    one = [row("1", "a"), ""]
    marks = ([], ["# newdoc id = 1"], ["# sent_id = newdoc"], ["#newdoc", "# newpar"], ["# newdocument"])
    sentences, _ = read(write(tmp_path / "a.conllu", [line for mark in marks for line in (*mark, *one)]))
    assert [sentence.document for sentence in sentences] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [row("1", "a"), "2\tb\tb\tX"],
            r"line 2: 4 fields in '2\\tb\\tb\\tX'; write the 10 of CoNLL-U, ID to MISC, between tabs, and an empty "
            "line after each",
        ),
        (
            ["1 a a X _ _ 0 _ _ _"],
            r"line 1: 1 fields in .*; write the 10 .* between tabs, not by blanks, and an",
        ),
        (["x" * 50], r"line 1: 1 fields in 'x{40}\.\.\.'; write the 10"),
        (
            ["1\t\ta\tX\t_\t_\t0\t_\t_\t_"],
            r"line 1: field FORM is empty; write _ where nothing is to be said",
        ),
        (["1\ta\ta\t \t_\t_\t0\t_\t_\t_"], r"line 1: field UPOS is empty; write _ where"),
        ([row("one", "a")], r"line 1: field ID is 'one'; write a whole number, a range 1-2 or an empty node"),
        (
            [row("1", "a"), row("3", "b")],
            r"line 2: field ID is 3, should be 2; number the words of a sentence",
        ),
        ([row("1", "a"), row("1", "b")], r"line 2: field ID is 1, should be 2; .* end it with an empty line"),
        (["# sent_id = 1", "", row("1", "a")], r"line 1: a sentence without words; remove it, or write its"),
        ([row("1", "a"), "", "# the end"], r"line 3: a sentence without words"),
        (
            [row("1", "a"), "# sent_id = 2"],
            r"line 2: a comment inside a sentence; end the sentence before it",
        ),
    ],
)
def test_a_fault_is_named_with_its_line_its_field_and_what_to_write(tmp_path, lines, expected):
    path = write(tmp_path / "a.conllu", lines)
    with pytest.raises(ValueError, match=f"^{path}: {expected}"):
        read(path)


def test_a_byte_that_is_no_utf8_is_named(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_bytes(row("1", "a").encode() + b"\n2\tcaf\xe9\n")
    with pytest.raises(
        ValueError, match=r": line 2: byte 6 of the line is not UTF-8; save the file as UTF-8$"
    ):
        read(path)


def test_a_file_may_be_compressed_and_is_refused_where_it_is_damaged(tmp_path):
    data = "\n".join([row("1", "a", "X"), row("2", "b", "Y"), ""]).encode() * 50
    whole, path = tmp_path / "whole", tmp_path / "a.conllu.gz"
    whole.write_bytes(data.replace(b"\n1\t", b"\n\n1\t"))
    path.write_bytes(gzip.compress(whole.read_bytes()))
    plain, compressed = (list(read_sentences(file, ["upos"], Counter())) for file in (whole, path))
    assert plain == compressed
    assert len(plain) == 50
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=f"^{path}: cannot be read .* fetch or write it again$"):
        list(read_sentences(path, ["upos"], Counter()))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.conllu", True), ("A.CONLLU.GZ", True), ("a.conllu.txt", False), ("a.gz", False)],
)
def test_files_are_told_by_their_names(name, is_one):
    assert is_conllu(Path(name)) == is_one
