"""Where a run goes: its text, where outputs lie, what MLflow gets on a laptop and on a cluster."""

from pathlib import Path
from typing import Any

import pytest

from precisionflow.config import load, parse
from precisionflow.destination import ClusterArtifacts, Destination, LocalResults, Outputs, destination_of
from precisionflow.results.code import code_is_trusted
from precisionflow.results.layout import Results, variant_folder
from precisionflow.tracking import registry, track
from tests.command_line import TINY

UPLOADS = {
    **dict.fromkeys(("track_cells", "track_report", "track_folder", "track_end"), track),
    "register_models": registry,
}
"""Function -> its module."""
ARTIFACT = Path("kfp", "artifact")


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Calls that would upload something: name, arguments, keywords."""
    called: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    for name, module in UPLOADS.items():

        def call(*arguments: Any, _name: str = name, **keywords: Any) -> None:
            called.append((_name, arguments, keywords))

        monkeypatch.setattr(module, name, call)
    return called


@pytest.mark.parametrize(
    "destination",
    [
        ClusterArtifacts(),
        LocalResults(Results(Path("/a folder:with=all/kfp"))),
        LocalResults(Results(Path("/folder:")), trusts_code=True),
    ],
    ids=str,
)
def test_a_text_names_the_destination_that_wrote_it(destination: Destination) -> None:
    assert destination_of(str(destination)) == destination


@pytest.mark.parametrize("text", ["", "KFP", "kfp:", "/results", "folder", "folder:"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"should be kfp, .*, or folder:PATH"):
        destination_of(text)


@pytest.mark.parametrize("trusts", [False, True])
def test_a_results_folder_says_whether_code_is_trusted(trusts: bool, tmp_path: Path) -> None:
    with LocalResults(Results(tmp_path), trusts_code=trusts).code():
        assert code_is_trusted() is trusts
    with ClusterArtifacts().code():
        assert not code_is_trusted()


def test_outputs_of_a_results_folder_lie_where_its_layout_says(tmp_path: Path) -> None:
    here, variant, results = LocalResults(Results(tmp_path)), parse(TINY), Results(tmp_path)
    with here.training(variant, data=ARTIFACT, artifact=ARTIFACT) as out:
        assert out == results.model(variant)
    assert here.data(ARTIFACT) == results.data
    assert variant_folder(here.models(ARTIFACT), variant) == results.model(variant)
    assert variant_folder(here.evaluations(ARTIFACT), variant) == results.evaluation(variant)
    assert here.aggregate(ARTIFACT) == results.aggregate
    assert here.report(ARTIFACT) == results.report
    assert here.search(ARTIFACT) == results.search
    assert here.page(results.report, ARTIFACT) == results.report / "report.html"
    assert list(tmp_path.iterdir()) == []


def test_outputs_on_a_cluster_are_kfps_artifacts(tmp_path: Path) -> None:
    there = ClusterArtifacts(workspace=tmp_path / "none")
    for place in (there.data, there.models, there.evaluations, there.aggregate, there.search):
        assert place(ARTIFACT) == ARTIFACT
    with there.training(parse(TINY), data=ARTIFACT, artifact=ARTIFACT) as out:
        assert out == ARTIFACT / "tiny" / "linnerud" / "default"
    report = there.report(tmp_path / "results")
    report.mkdir(parents=True)
    (report / "report.html").write_text("page")
    assert there.page(report, tmp_path / "page") == tmp_path / "page"
    assert (tmp_path / "page").read_text() == "page"


def test_an_experiment_is_kept_in_a_results_folder_alone(tmp_path: Path) -> None:
    ClusterArtifacts().keep(parse(TINY))
    LocalResults(Results(tmp_path)).keep(parse(TINY))
    assert load(str(tmp_path / "experiments" / "tiny.yaml")) == parse(TINY)


def test_trainings_on_ranks_take_turns_in_a_results_folder(tmp_path: Path) -> None:
    with LocalResults(Results(tmp_path)).turn(), ClusterArtifacts().turn():
        assert [path.name for path in tmp_path.iterdir()] == [".turn"]
    assert list(tmp_path.iterdir()) == []


def _whole_run(destination: Destination) -> None:
    """What the tasks of a run call, one after the other."""
    variant, others = parse(TINY), [load("toy", ["ablation.axes={}"]), parse(TINY)]
    places = {name: Path(name) for name in ("data", "model", "evaluation")}
    destination.after_evaluate(variant, experiments=others, **places)
    models, evaluations = ([Path(name, one) for one in ("toy", "tiny")] for name in ("model", "evaluation"))
    made = Outputs(places["data"], models, evaluations, Path("aggregate"), Path("report"))
    destination.after_report(others, made)
    destination.after_register(others, evaluations=[Path("evaluation")])


def test_on_a_laptop_the_last_task_uploads_everything_once(uploads: list[Any]) -> None:
    _whole_run(LocalResults(Results(Path("results"))))
    assert uploads == [("track_folder", (Path("results"),), {})]


def test_on_a_cluster_each_task_uploads_what_it_made(uploads: list[Any]) -> None:
    _whole_run(ClusterArtifacts())
    ClusterArtifacts().after_finish([parse(TINY)], state="FAILED", cause="no memory")
    assert [name for name, _, _ in uploads] == [
        *("track_cells", "track_cells", "track_cells", "track_report", "register_models", "track_end")
    ]
    (_, (variant,), cells), *_, (_, _, end) = uploads
    assert variant == cells["whole"] == parse(TINY)
    missing = [(variant.name, given["model"], given["evaluation"]) for _, (variant,), given in uploads[1:3]]
    assert missing == [(one, Path("model", one), Path("evaluation", one)) for one in ("toy", "tiny")]
    assert {keywords["store"] for _, _, keywords in uploads[:-1]} == {None}
    assert end == {"state": "FAILED", "cause": "no memory"}
