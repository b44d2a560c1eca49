"""`precisionflow inspect`: heads and symbols of a language model, a page with its edges, mistakes in one line."""

import re
from pathlib import Path

import pytest
import trained as tiny
from command_line import Line

from precisionflow.results.layout import cell_folder

PER_KEY = {
    "model.attention.potential.kind": "gaussian_per_key",
    "model.attention.temperature": 1,
    "model.blocks": 2,
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    return "inspect", *tiny.language_model(tmp_path_factory.mktemp("inspect"), **PER_KEY)


def test_tables_name_heads_and_the_least_trusted_symbols(line: Line, words):
    done = line(*words)
    assert (done.code, done.err) == (0, "")
    heads = re.findall(r"^ *layer (\d) head (\d) +([\d.]+) +([\d.]+) +([\d.]+)", done.out, re.MULTILINE)
    assert [head[:2] for head in heads] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    assert all(1 <= float(keys) <= 16 for _, _, _, keys, _ in heads)
    temperatures = re.search(r"temperature[\s─]+layer 0 head 0 +([\d.]+)", done.out)
    assert temperatures is not None, done.out
    assert 0 < float(temperatures[1]) != 1
    said = done.out[done.out.index("Symbols by the precision") :]
    precisions = [float(p) for p in re.findall(r"^ *'.+?' +\d+ +([\d.]+)", said, re.MULTILINE)]
    assert len(precisions) > 5
    assert precisions == sorted(precisions)


def test_a_page_shows_every_head_with_its_tokens(line: Line, words, tmp_path):
    done = line(*words, "--prompt", "17 and 289\n<&", "--out", "page.html")
    assert "never saw: '<' (place 12)" in done.err
    done = line(*words, "--prompt", "17 and 289\n18", "--out", "page.html")
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "temperature" in page
    assert "13 characters of the prompt" in page
    assert "\N{RETURN SYMBOL}" in page
    assert "http" not in page.replace('http-equiv="Content', "")
    assert len(page) < 200_000


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--out", "a.png"), "--out a.png: should be a file that ends in .html"),
        (("--prompt", ""), "--prompt: text has no characters; give at least one"),
        (("--prompt", "1" * 17), "--prompt: has 17 characters, the model reads 16 at once; shorten it"),
    ],
)
def test_mistakes_are_one_line(line: Line, words, options, told):
    assert line.fails(*words, *options) == told


def test_a_model_of_a_table_has_no_edges(line: Line, tmp_path):
    finished = tiny.trained(tiny.TABLE, tmp_path, **{"seeds": [0], "splits": [0], "training.steps": 20})
    cell = cell_folder(finished.model, 0, 0)
    assert line.fails("inspect", cell, "--data", finished.data) == (
        f"{cell}: predicts numbers of a table; inspect takes a model of a text, task.kind next_token"
    )
