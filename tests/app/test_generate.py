"""`precisionflow generate`: a trained cell and prompts in, texts out; mistakes in one line."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import trained as tiny
from command_line import Line

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import GENERATED
from precisionflow.results.layout import cell_folder

GREEDY = ("--greedy", "--tokens", "9")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    return "generate", *tiny.language_model(tmp_path_factory.mktemp("generate"))


def test_a_text_goes_on(line: Line, words):
    done = line(*words, "--prompt", "31 a", *GREEDY)
    assert done.code == 0, done.err
    assert done.out.startswith("31 and ")
    assert len(done.out) == len("31 a") + 9 + 1
    assert "was trained on" not in done.err
    assert line(*words, "--prompt", "31 a", *GREEDY).out == done.out


def test_what_is_drawn_follows_the_seed(line: Line, words):
    def drawn(*options: str) -> str:
        return line(*words, "--prompt", "31 a", "--tokens", "12", *options).out

    assert drawn("--seed", "3") == drawn("--seed", "3") != drawn("--seed", "4")
    assert drawn("--top-k", "1") == drawn("--greedy")
    assert drawn("--temperature", "0.001", "--min-p", "0.5", "--top-p", "0.5") == drawn("--greedy")


def test_files_hold_each_token_with_what_the_model_said(line: Line, words, tmp_path):
    (tmp_path / "prompts.txt").write_text("31 a\n7\n", encoding="utf-8")
    shown = line(*words, "--prompt", "8 ", "--prompts", "prompts.txt", *GREEDY)
    for form in ("txt", "jsonl", "parquet"):
        done = line(*words, "--prompt", "8 ", "--prompts", "prompts.txt", *GREEDY, "--out", f"out.{form}")
        assert (done.code, done.out) == (0, "")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == shown.out
    told = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one["prompt"] for one in told] == ["8 ", "31 a", "7"]
    assert shown.out == "\n".join(one["prompt"] + one["text"] + "\n" for one in told)
    rows = read_parquet(tmp_path / "out.parquet", GENERATED).to_pandas()
    assert list(rows["place"]) == [*range(9)] * 3
    for prompt, one in enumerate(told):
        of_it = rows[rows["prompt"] == prompt]
        assert list(of_it["token"]) == one["tokens"]
        assert "".join(of_it["text"]) == "".join(one["pieces"]) == one["text"]
        np.testing.assert_array_equal(of_it["log_probability"], one["log_probability"])
        np.testing.assert_array_equal(of_it["entropy"], one["entropy"])
    assert (rows["log_probability"] <= 0).all()
    assert (rows["entropy"] >= 0).all()
    assert pq.read_schema(tmp_path / "out.parquet").names == GENERATED.names


def test_past_the_trained_context_a_line_tells(line: Line, words):
    done = line(*words, "--prompt", "31 a", "--tokens", "14", "--greedy")
    assert done.code == 0
    assert done.err == (
        "precisionflow: the network reads 17 characters and was trained on 16: beyond them it was never tested\n"
    )


def test_an_empty_prompt_begins_after_a_line_break(line: Line, words):
    done = line(*words, "--prompt", "", *GREEDY)
    assert done.err == "precisionflow: the prompt is empty: a text begins as after a line break\n"
    assert done.out == line(*words, "--prompt", "\n", *GREEDY).out.removeprefix("\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "there is no prompt; give --prompt TEXT, or --prompts FILE with one in each line"),
        (("--prompt", "1", "--tokens", "0"), "--tokens 0: should be 1 or more"),
        (("--prompt", "1", "--seed", "-1"), "--seed -1: should be 0 or more"),
        (
            ("--prompt", "1 ä and ö", "--greedy"),
            "prompt '1 ä and ö': text has characters that the model never saw: 'ä' (place 3), 'ö' (place 9); leave "
            "them out",
        ),
        (
            ("--prompt", "1", "--temperature", "0"),
            "--temperature 0: should be a number above 0; take --greedy for the most probable token",
        ),
        (("--prompt", "1", "--out", "a.csv"), "--out a.csv: should end in .txt, .jsonl, .parquet"),
        (("--prompts", "no.txt"), "--prompts no.txt: is no file; give a text with one prompt in each line"),
        (("--prompts", "gap.txt"), "--prompts gap.txt: line 2 is empty; every line is a prompt"),
        (("--prompts", "nothing.txt"), "--prompts nothing.txt: is empty; give one prompt in each line"),
        (("--prompts", "latin.txt"), "--prompts latin.txt: is no UTF-8 at byte 2; save it as UTF-8"),
        (
            ("--prompt", "1", "--recalibrated", "temperature"),
            "recalibrated 'temperature': the model was not evaluated with it (it has none); name it in "
            "evaluation.recalibration of the experiment and evaluate again",
        ),
    ],
)
def test_mistakes_are_one_line(line: Line, words, tmp_path, options, told):
    (tmp_path / "gap.txt").write_text("1\n\n2\n", encoding="utf-8")
    (tmp_path / "nothing.txt").write_text("", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"1 \xe4\n")
    assert line.fails(*words, *options) == told


def test_learned_positions_end_with_the_context(line: Line, tmp_path):
    changes = {"model.positions": "learned", "training.steps": 20}
    learned = "generate", *tiny.language_model(tmp_path, **changes)
    assert line(*learned, "--prompt", "1 an", "--tokens", "13").code == 0
    assert line.fails(*learned, "--prompt", "1 an", "--tokens", "14") == (
        "--tokens 14: with a prompt of 4 characters the network reads 17 positions and has learned 16 (task.context, "
        "model.positions learned); give --tokens 13 or less"
    )
    assert line.fails(*learned, "--prompt", "1 and 1\n2 and 4\n3", "--tokens", "1") == (
        "--tokens 1: with a prompt of 17 characters the network reads 17 positions and has learned 16 (task.context, "
        "model.positions learned); give a prompt of at most 16"
    )


def test_a_graph_ends_with_its_last_query(line: Line, tmp_path):
    edges = [[query, key] for query in range(18) for key in range(query + 1)]
    changes = {"model.attention.prior": {"kind": "graph", "edges": edges}, "training.steps": 20}
    model = "generate", *tiny.language_model(tmp_path, **changes)
    assert line(*model, "--prompt", "1 an", "--tokens", "15").code == 0
    assert line.fails(*model, "--prompt", "1 an", "--tokens", "40") == (
        "--tokens 40: with a prompt of 4 characters the network reads 43 positions and position 18 has no key "
        "(from 0; model.attention.prior graph); give --tokens 15 or less"
    )


def test_a_model_of_a_table_writes_no_text(line: Line, tmp_path):
    finished = tiny.trained(tiny.TABLE, tmp_path, **{"seeds": [0], "splits": [0], "training.steps": 20})
    cell = cell_folder(finished.model, 0, 0)
    assert line.fails("generate", cell, "--prompt", "1", "--data", finished.data) == (
        f"{cell}: predicts numbers of a table; generate takes a model of a text, task.kind next_token"
    )
