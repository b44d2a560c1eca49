"""Tuned axes: each combination of their levels has its own study, all alike, and its variants get what it found."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from precisionflow.pipelines.tune_then_train import tune_then_train_on_cluster

from precisionflow.ablation.design import expand
from precisionflow.app.plan import print_plan
from precisionflow.cluster.katib.spec import equipped
from precisionflow.config import ConfigError, Experiment, load, parse, tuned
from precisionflow.config.load import as_word
from precisionflow.destination import LocalResults
from precisionflow.records.search import Best
from precisionflow.report.material import Material
from precisionflow.report.page import templates
from precisionflow.report.sections import tuning as section
from precisionflow.results.layout import Results
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.trained import first_values, trained_with
from precisionflow.search.tuning import as_far_as_found, budget, studies_of, tune, tuned_levels, with_found
from tests.command_line import TINY

RATE = "training.learning_rate: {low: 0.001, high: 0.1, log: true}"
TUNED = f"""
seeds: [3, 4]
splits: [1, 0]
ablation:
  axes:
    noise: {{one: {{objective.kind: homoscedastic}}, own: {{objective.kind: gaussian_nll}}}}
    width: {{narrow: {{model.hidden: [2]}}, wide: {{model.hidden: [4]}}}}
  tuned: {{axes: [noise], trials: 4, parameters: {{{RATE}}}}}
"""


def experiment(*changes: tuple[str, str]) -> Experiment:
    text = TINY + TUNED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text)


def bests(of: Experiment) -> list[Best]:
    """Learning rates 0.01, 0.02, ... for the studies in their order."""
    return [
        Best(
            study=name,
            trial=f"{name}-0",
            settings=(f"training.learning_rate=0.0{place + 1}",),
            metric="validation_loss",
            value=1.5 + place,
            trials=4,
        )
        for place, name in enumerate(tuned_levels(of))
    ]


def test_every_level_of_a_tuned_axis_has_a_study_of_the_same_budget() -> None:
    one, own = studies_of(experiment())
    assert one.name != own.name
    for study in (one, own):
        alike = json.loads(json.dumps(study.content["spec"]))
        del alike["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
        assert alike["maxTrialCount"] == 4
        assert alike == json.loads(
            json.dumps(one.content["spec"] | {"trialTemplate": alike["trialTemplate"]})
        )
        settings, trained = trained_with(study, first_values(study))
        assert settings == ("training.learning_rate=0.001",)
        assert (trained.seeds, trained.splits, trained.model.hidden) == ((3,), (1,), (2,))
        assert trained.training.learning_rate == 0.001
    kinds = [trained_with(study, first_values(study))[1].objective.kind for study in (one, own)]
    assert kinds == ["homoscedastic", "gaussian_nll"]


def test_tuning_all_axes_gives_every_variant_a_study_on_every_data_set() -> None:
    sets = "  datasets: {a: {task.source.name: linnerud}, b: {task.source.name: diabetes}}\n"
    whole = experiment(("axes: [noise]", "axes: [noise, width]"), ("ablation:\n", f"ablation:\n{sets}"))
    assert len(studies_of(whole)) == len(expand(whole)) == 8
    assert len(studies_of(experiment(("ablation:\n", f"ablation:\n{sets}")))) == 4


def test_variants_get_what_the_study_of_their_levels_found() -> None:
    found = with_found(experiment(), bests(experiment()))
    assert [(v.name, v.experiment.training.learning_rate) for v in expand(found)] == [
        ("one+narrow", 0.01),
        ("one+wide", 0.01),
        ("own+narrow", 0.02),
        ("own+wide", 0.02),
    ]
    assert studies_of(found) == []
    assert with_found(experiment(), bests(experiment())) == parse(found.model_dump_json())


def test_choices_and_whole_numbers_are_katibs_parameters() -> None:
    given = "training.batch_size: {low: 4, high: 8, whole: true}, model.activation: {choices: [tanh, relu]}"
    study = studies_of(experiment((RATE, given)))[0]
    assert [(p.kind, p.ends) for p in study.spec.parameters] == [
        ("int", ("4", "8")),
        ("categorical", ("tanh", "relu")),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Results, Experiment]:
    """A tiny experiment whose two studies have run with one trial each: before, where, after."""
    results, screen = Results(tmp_path_factory.mktemp("run")), io.StringIO()
    before = experiment(("trials: 4", "trials: 1"), ("splits: [1, 0]", "splits: [0]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("precisionflow.search.tuning.core_count", lambda: 2)
        after = tune(before, results, screen=screen)
    assert "search: 2 studies, 2 side by side, 2 trials, 2 at once" in screen.getvalue()
    return before, results, after


def test_studies_run_here_once_and_the_run_is_planned_with_what_they_found(
    run: tuple[Experiment, Results, Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    before, results, after = run
    rates = {v.experiment.training.learning_rate for v in expand(after)}
    assert all(0.001 <= rate <= 0.1 for rate in rates)
    assert budget(before, results) == (2, 2, 2)
    trials = [SearchResults(results.tuning(name)).trial(0).card for name in tuned_levels(before)]
    written = [card.stat().st_mtime_ns for card in trials]
    assert tune(before, results, screen=io.StringIO()) == after == as_far_as_found(before, results)
    assert [card.stat().st_mtime_ns for card in trials] == written
    assert budget(after, results) is None
    more = experiment(("splits: [1, 0]", "splits: [0]"))
    assert as_far_as_found(more, results) == more
    assert (results.folder / "mlflow.db").exists()
    print_plan([before], folder=results.folder)
    assert "tuning before them: 2 studies of 1 trials, 2 of 2 trials done" in capsys.readouterr().out


def test_the_plan_of_nothing_counts_the_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_plan([experiment()], folder=tmp_path)
    assert "tuning before them: 2 studies of 4 trials, 0 of 8 trials done" in capsys.readouterr().out
    assert as_far_as_found(experiment(), Results(tmp_path)) == experiment()


def test_what_was_found_is_kept_with_the_experiment_and_shown(
    run: tuple[Experiment, Results, Experiment], tmp_path: Path
) -> None:
    after = run[2]
    LocalResults(Results(tmp_path)).keep(after)
    assert load(str(Results(tmp_path).experiment("tiny"))) == after
    made = section.section(Material(after, (), (), "x0"))
    assert made is not None
    text = templates().get_template(made.template).render(made.context, title=made.title)
    assert "training.learning_rate from 0.001 to 0.1, by its logarithm" in text
    assert [row[0].text for row in made.context["table"].rows] == ["noise=one", "noise=own"]
    assert section.section(Material(run[0], (), (), "x0")) is None


def test_on_a_cluster_katib_runs_the_studies_and_the_ablation_follows() -> None:
    images = {"core": "here/core:1", "train": "here/train:1"}
    pipeline: Any = tune_then_train_on_cluster(experiment(), images=images)
    content = json.loads(MessageToJson(pipeline.pipeline_spec))
    tasks = content["root"]["dag"]["tasks"]
    (loop,) = (name for name in tasks if name.startswith("for-loop"))
    assert tasks.keys() == {loop, "merge", "train"}
    assert tasks["merge"]["dependentTasks"] == [loop]
    parameters = content["root"]["inputDefinitions"]["parameters"]
    studies = [json.loads(text) for text in parameters["studies"]["defaultValue"]]
    whole = experiment()
    threads = whole.cluster.train.threads()
    assert threads > 1
    assert studies == [
        equipped(study.content, whole.cluster, claim=whole.cluster.workspace, threads=threads)
        for study in studies_of(whole)
    ]
    for study in studies:
        (container,) = study["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
        assert container["env"][0] == {"name": "OMP_NUM_THREADS", "value": str(threads)}
        assert {"name": "workspace", "mountPath": "/workspace"} in container["volumeMounts"]
    assert parse(parameters["experiment"]["defaultValue"]) == experiment()


def test_an_experiment_is_one_word() -> None:
    whole = experiment()
    word = as_word(whole)
    assert load(word) == whole
    assert load(word, ["seeds=[7]"]) == tuned(whole, ["seeds=[7]"])
    assert not set(word) & set(" '\"$`\\;&|<>(){}")
    with pytest.raises(ConfigError, match=r"^base64:x!\.\.\.: is no text in base64; copy the whole word$"):
        load("base64:x!")


BAD = {
    "ablation.tuned.axes: unknown axis 'nois'; allowed: noise, width; did you mean 'noise'?": (
        ("axes: [noise]", "axes: [nois]"),
    ),
    "ablation.tuned: sets 'model.hidden', and so does ablation.axes.width; keep one of them": (
        ("training.learning_rate", "model.hidden"),
    ),
    "ablation.tuned.parameters: 'seeds' cannot differ between variants": (
        ("training.learning_rate", "seeds"),
    ),
    "low: given 0.1; should be below high, 0.1": (("low: 0.001", "low: 0.1"),),
    "low: given 0; log needs one above 0": (("low: 0.001", "low: 0"),),
    "should have either low and high or choices": (("low: 0.001, high: 0.1, log: true", "low: 1"),),
    "whole needs whole numbers": (("log: true", "whole: true"),),
    "ablation.tuned.trials: given 0": (("trials: 4", "trials: 0"),),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_tuning_is_one_line(said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(*BAD[said])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_level_that_cannot_take_a_parameter_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^ablation\.tuned\.parameters: variant 'one\+narrow': .*objective\.beta"
    ):
        studies_of(experiment((RATE, "objective.beta: {low: 0.1, high: 1}")))
