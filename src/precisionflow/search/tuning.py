"""Tuned axes: a study for each combination of their levels, run on this machine, and what it found merged in."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from precisionflow.ablation.design import Variant, expand, places_of
from precisionflow.ablation.studies import study_name
from precisionflow.config import ConfigError, Experiment, resolve
from precisionflow.config.load import as_word
from precisionflow.config.tuning import Choice, Searched
from precisionflow.records.files import read_card
from precisionflow.records.search import Best
from precisionflow.results.layout import Results
from precisionflow.results.machine import core_count
from precisionflow.results.search_layout import SearchResults
from precisionflow.search.checks.study import check_study
from precisionflow.search.journal import StudyCard, TrialCard
from precisionflow.search.study import Study, parse_study

METRIC = "validation_loss"
IMAGE = "precisionflow-python-train"
"""Image of a trial's pod, whose reference is put in where the study is sent."""


def tuned_levels(experiment: Experiment) -> dict[str, Variant]:
    """Study -> the first variant of the design with its levels; empty where nothing is tuned, or all is found."""
    tuning = experiment.ablation.tuned
    found: dict[str, Variant] = {}
    if tuning is not None:
        for (dataset, levels), variant in zip(places_of(experiment), expand(experiment), strict=True):
            found.setdefault(study_name(experiment, dataset, levels), variant)
        if found.keys() <= tuning.found.keys():
            return {}
    return found


def studies_of(experiment: Experiment) -> list[Study]:
    """The studies that a run of the experiment begins with; ConfigError where a level cannot take a parameter."""
    studies = []
    for name, variant in tuned_levels(experiment).items():
        study = parse_study(_content(experiment, name, variant.experiment))
        try:
            check_study(study)
        except ConfigError as error:
            reason = str(error).removeprefix("spec.parameters: ")
            raise ConfigError(f"ablation.tuned.parameters: variant {variant.name!r}: {reason}") from None
        studies.append(study)
    return studies


def with_found(experiment: Experiment, bests: Iterable[Best]) -> Experiment:
    """The experiment whose variants are trained with what their studies found."""
    content = experiment.model_dump(mode="json")
    content["ablation"]["tuned"]["found"] = {
        best.study: {"settings": list(best.settings), "value": best.value, "trials": best.trials}
        for best in bests
    }
    return resolve(content)


def tune(experiment: Experiment, results: Results, *, screen: TextIO) -> Experiment:
    """Run what is missing of the studies into a results folder, then `with_found`; itself where nothing is tuned.

    As many studies run side by side as the cores take.
    """
    studies = studies_of(experiment)
    if not studies:
        return experiment
    from precisionflow.search.runner.run import run_studies

    outs = [results.tuning(study.name) for study in studies]
    for out in outs:
        out.mkdir(parents=True, exist_ok=True)
    at_once = max(1, core_count() // studies[0].spec.parallel)
    return with_found(
        experiment, run_studies(studies, outs=outs, at_once=at_once, screen=screen, store=results.folder)
    )


class Budget(NamedTuple):
    """Trials of the studies of an experiment."""

    studies: int
    trials: int
    done: int


def budget(experiment: Experiment, results: Results) -> Budget | None:
    """Trials that a run asks for, and those that have ended in a results folder; none where nothing is tuned."""
    tuning, names = experiment.ablation.tuned, tuned_levels(experiment)
    if tuning is None or not names:
        return None
    done = sum(_ended(results.tuning(name)) for name in names)
    return Budget(len(names), len(names) * tuning.trials, min(done, len(names) * tuning.trials))


def _ended(folder: Path) -> int:
    cards = (read_card(trial.card, TrialCard) for trial in SearchResults(folder).begun)
    return sum(card.end is not None for card in cards)


def as_far_as_found(experiment: Experiment, results: Results) -> Experiment:
    """`with_found` where every study of the experiment has ended in a results folder, by this budget; else itself."""
    bests = []
    for study in studies_of(experiment):
        place = SearchResults(results.tuning(study.name))
        if not place.best.exists() or read_card(place.study, StudyCard).key != study.key:
            return experiment
        bests.append(read_card(place.best, Best))
        if bests[-1].trials != study.spec.trials:
            return experiment
    return with_found(experiment, bests) if bests else experiment


def _content(experiment: Experiment, name: str, variant: Experiment) -> dict[str, Any]:
    """The study as a Katib Experiment: its trials train the first seed on the first split."""
    tuning = experiment.ablation.tuned
    assert tuning is not None
    names = {dotted: re.sub(r"[._]", "-", dotted) for dotted in tuning.parameters}
    one = {"seeds": variant.seeds[:1], "splits": variant.splits[:1], "question": "", "gate": {}}
    command = ["precisionflow", "trial", as_word(variant.model_copy(update=one))]
    for index, dotted in enumerate(tuning.parameters):
        command += ["--set", f"{dotted}=${{trialParameters.p{index}}}"]
    settings = [] if tuning.algorithm == "sobol" else [{"name": "random_state", "value": str(tuning.seed)}]
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": METRIC},
            "algorithm": {"algorithmName": tuning.algorithm, "algorithmSettings": settings},
            "parallelTrialCount": min(tuning.parallel, tuning.trials),
            "maxTrialCount": tuning.trials,
            "maxFailedTrialCount": tuning.trials,
            "parameters": [_parameter(names[dotted], of) for dotted, of in tuning.parameters.items()],
            "trialTemplate": {
                "primaryContainerName": "trial",
                "trialParameters": [
                    {"name": f"p{index}", "reference": names[dotted]}
                    for index, dotted in enumerate(tuning.parameters)
                ],
                "trialSpec": _job(command, variant),
            },
        },
    }


def _parameter(name: str, of: Searched) -> dict[str, Any]:
    if of.choices:
        values = [_text(choice) for choice in of.choices]
        return {"name": name, "parameterType": "categorical", "feasibleSpace": {"list": values}}
    assert of.low is not None
    assert of.high is not None
    kind, shown = ("int", int) if of.whole else ("double", float)
    space = {"min": str(shown(of.low)), "max": str(shown(of.high))}
    if of.log:
        space["distribution"] = "logUniform"
    return {"name": name, "parameterType": kind, "feasibleSpace": space}


def _text(choice: Choice) -> str:
    """A choice as YAML reads it."""
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _job(command: list[str], variant: Experiment) -> dict[str, Any]:
    """A trial's Job, which Pod Security "restricted" admits."""
    wanted = variant.cluster.train
    limits = {"cpu": wanted.cpu, "memory": wanted.memory}
    if wanted.gpus:
        limits[wanted.gpu_resource] = str(wanted.gpus)
    container = {
        "name": "trial",
        "image": f"{IMAGE}:latest",
        "command": command,
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "resources": {"requests": limits, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "restartPolicy": "Never",
        "securityContext": user,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"backoffLimit": 1, "template": {"spec": pod}},
    }
