"""The verbs on the command line: their files, and one line for inputs that are missing, damaged or do not fit."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from precisionflow import cli
from precisionflow.config import parse
from precisionflow.training.ranks import VARIABLES
from tests.command_line import AXES, TINY, Line


class Stages(NamedTuple):
    """A finished run of TINY without axes, stage by stage."""

    experiment: Path
    data: Path
    model: Path
    evaluation: Path
    aggregate: Path
    report: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    root = tmp_path_factory.mktemp("finished")
    stages = Stages(root / "tiny.yaml", *(root / name for name in Stages._fields[1:]))
    stages.experiment.write_text(TINY)
    given = {"data": ["--data", stages.data], "model": ["--model", stages.model]}
    evaluated = ["--evaluation", stages.evaluation]
    aggregated = ["--aggregate", stages.aggregate]
    with pytest.MonkeyPatch.context() as patch:
        for verb, inputs, out in (
            ("prepare", [], stages.data),
            ("train", given["data"], stages.model),
            ("evaluate", given["data"] + given["model"], stages.evaluation),
            ("aggregate", evaluated, stages.aggregate),
            ("report", given["model"] + evaluated + aggregated, stages.report),
        ):
            words = [verb, stages.experiment, *inputs, "--out", out]
            patch.setattr(sys, "argv", ["precisionflow", *map(str, words)])
            with pytest.raises(SystemExit) as caught:
                cli.main()
            assert not caught.value.code, verb
    return stages


@pytest.fixture
def stages(finished: Stages, tmp_path: Path) -> Stages:
    """A copy of `finished` that a test may damage, and from which it starts."""
    root = shutil.copytree(finished.experiment.parent, tmp_path, dirs_exist_ok=True)
    return Stages(*(Path(root) / path.name for path in finished))


def test_every_verb_writes_its_files(finished: Stages) -> None:
    cell = "seed-0-split-0"
    names = {
        finished.model / cell: {"model.safetensors", "model.json", "history.parquet"},
        finished.evaluation / cell: {"predictions.parquet", "metrics.parquet", "cost.json", "bins.parquet"},
        finished.aggregate: {
            *("table.parquet", "contrasts.parquet", "across.parquet", "ranks.parquet", "iqm.parquet"),
            *("profiles.parquet", "sensitivity.parquet", "response.parquet", "failures.parquet"),
            *("laws.parquet", "sizes.parquet", "isoflop.parquet", "performance.parquet", "where.parquet"),
        },
        finished.report: {"report.html"},
    }
    (data,) = finished.data.glob("linnerud-*/split-0")
    names[data] = {"train.parquet", "valid.parquet", "test.parquet", "dataset.json"}
    for folder, files in names.items():
        assert set(os.listdir(folder)) == files | {"stage.json"}


def test_verbs_say_what_they_do_on_standard_output(stages: Stages, line: Line) -> None:
    code, out, err = line("prepare", stages.experiment, "--out", stages.data)
    assert (code, out, err) == (0, "precisionflow: prepare linnerud split 0: unchanged\n", "")
    code, out, err = line("train", stages.experiment, "--data", stages.data, "--out", "other")
    assert (code, err) == (0, "")
    assert "train tiny linnerud default seed 0 split 0: step 2/2, train loss" in out.splitlines()[-1]


def test_a_rank_leaves_when_it_has_written_its_cell(
    stages: Stages, line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = []

    def leave() -> None:
        left.append(len(list((tmp_path / "rank").rglob("stage.json"))))

    monkeypatch.setattr("precisionflow.results.lifetime.leave", leave)
    verb = ("train", stages.experiment, "--data", stages.data, "--out")
    line(*verb, tmp_path / "alone")
    assert left == []
    for name, value in zip(VARIABLES, ("0", "0", "1", "localhost", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert line(*verb, tmp_path / "rank")[0] == 0
    assert left == [1]


CUT, GONE = None, b""


def damaged(place: Path, content: bytes | None) -> Path:
    """The one file of that name below its folder, after it was cut to its half, removed or given other content."""
    (file,) = place.parent.rglob(place.name)
    if content == GONE:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is CUT else content)
    return file


DAMAGES = {
    "train: data": ("train", "data", "train.parquet", CUT),
    "train: card": ("train", "data", "dataset.json", CUT),
    "train: other card": ("train", "data", "dataset.json", b'{"a": 1}'),
    "train: no data": ("train", "data", "valid.parquet", GONE),
    "evaluate: weights": ("evaluate", "model", "model.safetensors", CUT),
    "evaluate: no weights": ("evaluate", "model", "model.safetensors", GONE),
    "evaluate: other weights": ("evaluate", "model", "model.safetensors", b"weights"),
    "evaluate: card": ("evaluate", "model", "model.json", CUT),
    "evaluate: data": ("evaluate", "data", "test.parquet", CUT),
    "aggregate: metrics": ("aggregate", "evaluation", "metrics.parquet", CUT),
    "report: table": ("report", "aggregate", "table.parquet", CUT),
    "report: history": ("report", "model", "history.parquet", CUT),
    "report: card": ("report", "model", "model.json", CUT),
    "report: predictions": ("report", "evaluation", "predictions.parquet", GONE),
}
WRITER = {"data": "prepare", "model": "train", "evaluation": "evaluate", "aggregate": "aggregate"}
"""What is damaged -> the verb that wrote it."""


def refusal(file: Path, *, writer: str, content: bytes | None) -> str:
    """The line about a damaged file: what is wrong with it, and what to do."""
    found = (
        f"does not exist, although {writer} wrote it"
        if content == GONE
        else f"does not hold what {writer} wrote, its sha256 is another"
    )
    return f"{file}: {found}; delete {file.parent} and run {writer} again"


def words_of(verb: str, stages: Stages) -> list[str | Path]:
    """The words that run a verb on what the stages before it wrote."""
    given: dict[str, list[str]] = {"prepare": [], "train": ["data"], "evaluate": ["data", "model"]}
    given |= {"aggregate": ["evaluation"], "report": ["model", "evaluation", "aggregate"]}
    inputs = [word for name in given[verb] for word in (f"--{name}", getattr(stages, name))]
    return [verb, stages.experiment, *inputs, "--out", "out"]


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_input(case: str, stages: Stages, line: Line, tmp_path: Path) -> None:
    verb, stage, name, content = DAMAGES[case]
    file = damaged(getattr(stages, stage) / name, content)
    wanted = refusal(file, writer=WRITER[stage], content=content)
    assert line.fails(*words_of(verb, stages)) == f"{verb}: {wanted}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("verb", "stage"),
    [
        ("train", "data"),
        ("evaluate", "data"),
        ("evaluate", "model"),
        ("aggregate", "evaluation"),
        ("report", "model"),
        ("report", "evaluation"),
        ("report", "aggregate"),
    ],
)
def test_a_missing_input(verb: str, stage: str, stages: Stages, line: Line, tmp_path: Path) -> None:
    missing = getattr(stages, stage)
    shutil.rmtree(missing)
    message = line.fails(*words_of(verb, stages))
    assert message.startswith(f"{verb}: {missing}")
    assert not (tmp_path / "out").exists()


def test_data_that_are_not_prepared_stop_before_ranks_start(line: Line, tmp_path: Path) -> None:
    name = "quickstart-language"
    variant = ["--set", "variant=backprop+precision"]
    message = line.fails("train", name, *variant, "--data", "data", "--out", "out")
    assert message.startswith("train: data/scikit_learn_text-")
    assert message.endswith("/split-0: is not a finished stage; run the stage that writes it first")
    assert list(tmp_path.iterdir()) == []


def test_prepare_reports_a_missing_source(line: Line, tmp_path: Path) -> None:
    source = ["--set", f"task.source={{kind: uci_folder, path: {tmp_path}/none}}"]
    message = line.fails("prepare", "quickstart-regression", *source, "--out", "out")
    assert message.startswith(
        f"prepare: {tmp_path}/none/data.txt: cannot be read (No such file or directory)"
    )
    assert list(tmp_path.iterdir()) == []


def test_variants_are_chosen_by_name(stages: Stages, line: Line) -> None:
    stages.experiment.write_text(TINY + AXES)
    words = words_of("train", stages)
    wanted = "choose with --set variant=NAME, allowed: one, other"
    assert line.fails(*words) == f"variant: the experiment has 2; {wanted}"
    message = line.fails(*words, "--set", "variant=othr")
    assert message == f"variant: unknown value 'othr'; {wanted}; did you mean 'other'?"
    assert "tiny linnerud other" in line(*words, "--set", "variant=other").out


def test_the_only_variant_needs_no_name(stages: Stages, line: Line) -> None:
    stages.experiment.write_text(TINY + AXES.replace(", other: {objective.kind: gaussian_nll}", ""))
    assert "tiny linnerud one" in line(*words_of("train", stages)).out
    message = line.fails(*words_of("train", stages), "--set", "variant=other")
    assert message.startswith("variant: unknown value 'other'; choose with --set variant=NAME, allowed: one")


def test_a_variant_on_two_data_sets_is_given_as_a_file(stages: Stages, line: Line) -> None:
    datasets = "{l: {task.source.name: linnerud}, d: {task.source.name: diabetes}}"
    stages.experiment.write_text(TINY + AXES.replace("{axes:", f"{{datasets: {datasets}, axes:"))
    message = line.fails(*words_of("train", stages), "--set", "variant=one")
    assert message.startswith("variant: 'one' is on the data sets linnerud, diabetes; give one line of")
    row = line("expand", stages.experiment).out.splitlines()[1]
    assert parse(row).variant == "other"
    Path("one.json").write_text(row)
    assert "tiny linnerud other" in line("train", "one.json", *words_of("train", stages)[2:]).out


def test_a_folder_of_the_user_is_not_replaced(stages: Stages, line: Line) -> None:
    (stages.experiment.parent / "out").mkdir()
    (stages.experiment.parent / "out" / "thesis.tex").write_text("x")
    message = line.fails(*words_of("aggregate", stages))
    assert message == "aggregate: out: holds files that no stage wrote; choose another --out or remove it"
    assert os.listdir("out") == ["thesis.tex"]


def test_out_below_a_file(stages: Stages, line: Line) -> None:
    Path("file").write_text("x")
    words = words_of("aggregate", stages)[:-1]
    message = line.fails(*words, "file/out")
    assert message.endswith("/file: File exists; mend that and run again, finished stages are kept")
    message = line.fails("run", stages.experiment, "--out", "file")
    assert message.endswith("file: File exists; mend that and run again, finished stages are kept")
    assert Path("file").read_text() == "x"


def test_track_needs_a_results_folder(line: Line, tmp_path: Path) -> None:
    message = line.fails("track", "none")
    assert message == "none: has no experiments/*.yaml; give a folder that `precisionflow run` made"
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "tiny.yaml").write_text("name: [")
    assert "not valid YAML: line 2, column 1" in line.fails("track", tmp_path)
    (tmp_path / "experiments" / "tiny.yaml").write_bytes(b"\xff")
    line.fails("track", tmp_path)


def test_track_reports_a_damaged_result(finished: Stages, line: Line, tmp_path: Path) -> None:
    variant = Path("tiny", "linnerud", "default")
    for stage in ("model", "evaluation"):
        shutil.copytree(getattr(finished, stage), tmp_path / stage / variant)
    shutil.copytree(finished.data, tmp_path / "data")
    (tmp_path / "experiments").mkdir()
    shutil.copy(finished.experiment, tmp_path / "experiments" / "tiny.yaml")
    file = damaged(tmp_path / "evaluation" / "metrics.parquet", CUT)
    assert line.fails("track", tmp_path) == refusal(file, writer="evaluate", content=CUT)


def test_too_little_memory_is_one_line(
    stages: Stages, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from precisionflow.ablation import aggregate

    def exhausts(*_: Any, **__: Any) -> None:
        bytearray(1 << 62)

    monkeypatch.setattr(aggregate, "aggregate", exhausts)
    assert line.fails(*words_of("aggregate", stages)).startswith("aggregate: not enough memory (")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    program = """
        import resource, sys
        from precisionflow.cli import main
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
        main()
    """
    (tmp_path / "tiny.yaml").write_text(TINY)
    command = [sys.executable, "-c", textwrap.dedent(program), "prepare", "tiny.yaml", "--out", "a/b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("precisionflow: error: prepare: ")
    assert done.stderr.endswith("File too large; mend that and run again, finished stages are kept\n")
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["tiny.yaml"]
