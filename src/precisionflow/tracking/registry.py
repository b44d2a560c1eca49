"""MLflow's registry: every gated model is a version, and `champion` is the best of those that passed last."""

import json
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from precisionflow.ablation.gate import Judgement, judge
from precisionflow.ablation.measured import read_metrics
from precisionflow.config import Experiment, digest
from precisionflow.config.external import External
from precisionflow.config.tasks import Regression
from precisionflow.console import command, say
from precisionflow.results.cells import Cell
from precisionflow.results.failures import parted
from precisionflow.results.layout import cell_folder
from precisionflow.results.stage import input_key
from precisionflow.serving.connection import connected, quiet, reason, tracking_uri, without_password
from precisionflow.tracking import runs
from precisionflow.tracking.content import KEY, PREFIX
from precisionflow.tracking.parameters import allowed_name
from precisionflow.tracking.store import Gap, attempt
from precisionflow.tracking.variants import cells_inside

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
"""Alias of the version that is to be used."""
JUDGED = f"{PREFIX}judged"
"""Digest of what the gate said about a version; set last, so a version without it is half registered."""


class Candidate(NamedTuple):
    """A judged variant and the key of the cell whose model stands for it."""

    judgement: Judgement
    key: str

    @property
    def digest(self) -> str:
        """Digest of bounds and readings: where the gate has moved, the same model is judged again."""
        return digest([repr(reading) for reading in self.judgement.readings])

    @property
    def tags(self) -> dict[str, str]:
        judgement = self.judgement
        ours = {
            "experiment": judgement.variant.name,
            "dataset": judgement.variant.dataset,
            "variant": judgement.variant.variant,
            "config_hash": judgement.variant.hash,
            "gate": judgement.reason,
        } | {f"gate.{reading.metric}": f"{reading.mean:.6g}" for reading in judgement.readings}
        return {f"{PREFIX}{name}": value for name, value in ours.items()} | {JUDGED: self.digest}


Registered = tuple[Candidate, "ModelVersion"]


def register_models(
    experiments: Sequence[Experiment], *, evaluations: Sequence[Path], store: Path | None
) -> bool:
    """Register the models of the experiments that have a gate; whether MLflow took them.

    `evaluations` are the folders of their variants, whose cells are tracked. A second call changes nothing. ValueError
    for a result that is missing or broken.
    """
    gated = [(whole, candidates(whole, evaluations=evaluations)) for whole in experiments if whole.gate]

    def work(client: "MlflowClient") -> None:
        for whole, rivals in gated:
            register(client, whole, rivals, store=store)

    return not gated or attempt(work, store=store, results=evaluations[0])


def candidates(whole: Experiment, *, evaluations: Sequence[Path]) -> list[Candidate]:
    """The judged networks without a failed cell and their models' keys; none where the experiment has no gate."""
    return [
        Candidate(judgement, input_key(_served(judgement.variant, evaluations)))
        for judgement in judge(whole, evaluations=evaluations)
        if not judgement.failed and not isinstance(judgement.variant.model, External)
    ]


def _served(variant: Experiment, evaluations: Sequence[Path]) -> Path:
    """The evaluation of the cell whose model is logged: lowest seed and split."""
    seed, split = min(variant.seeds), min(variant.splits)
    wanted = Cell(variant.name, variant.dataset, variant.variant, seed, split)
    folders = [cell_folder(root, seed, split) for root in evaluations]
    whole, _ = parted(folder for folder in folders if folder.exists())
    return next(folder for folder in whole if wanted in read_metrics([folder]))


def model_name(whole: Experiment, dataset: str) -> str:
    """The registered model: variants of an experiment compete on one data set."""
    return re.sub(r"[^\w.-]", "-", f"{whole.name}-{dataset}")


def register(
    client: "MlflowClient", whole: Experiment, rivals: Sequence[Candidate], *, store: Path | None
) -> None:
    """Bring the registry to the state of the judgements; what is there already is left alone."""
    if not rivals:
        return
    parent = runs.parent(client, whole, store=store)
    cells = cells_inside(client, parent)
    for candidate in rivals:
        if candidate.key not in cells:
            variant = candidate.judgement.variant
            raise Gap(
                f"has no run of {variant.name} {variant.dataset} {variant.variant}, so nothing is registered"
            )
    for dataset in dict.fromkeys(candidate.judgement.variant.dataset for candidate in rivals):
        versions = [
            (candidate, _version(client, model_name(whole, dataset), cells[candidate.key]))
            for candidate in rivals
            if candidate.judgement.variant.dataset == dataset
        ]
        if any(version.tags.get(JUDGED) != candidate.digest for candidate, version in versions):
            _crown(client, versions)
            _tell(client, versions, parent=parent)
        _announce(client, whole, dataset, store=store)


def _version(client: "MlflowClient", name: str, cell: "Run") -> "ModelVersion":
    """The version of a cell's model, created where it is absent."""
    from mlflow import MlflowException

    key = cell.data.tags[KEY]
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get(KEY) == key:
            return version
    run_id = cell.info.run_id
    found = client.search_logged_models([cell.info.experiment_id], f"source_run_id = '{run_id}'")
    ready = [model for model in found if str(model.status) == "READY"]
    if not ready:
        raise Gap(f"has no model of the run {cell.info.run_name}, so nothing is registered")
    return _linked_version(client, name, ready[0].model_id, run_id=run_id, key=key)


def _linked_version(
    client: "MlflowClient", name: str, model_id: str, *, run_id: str, key: str
) -> "ModelVersion":
    """A new version whose source is a logged model, and the model's link to it.

    A database finds the logged model at MLflow's own tracking URI only.
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        version = client.create_model_version(
            name, f"models:/{model_id}", run_id, tags={KEY: key}, model_id=model_id
        )
    finally:
        mlflow.set_tracking_uri(before)
    link = json.dumps([{"name": name, "version": int(version.version)}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return version


def _crown(client: "MlflowClient", versions: Sequence[Registered]) -> None:
    """Make the best that passed the champion; where none passed, a champion among them loses the alias."""
    passed = [(candidate, version) for candidate, version in versions if candidate.judgement.passed]
    if passed:
        _, best = min(passed, key=lambda registered: registered[0].judgement.loss)
        client.set_registered_model_alias(best.name, CHAMPION, best.version)
        return
    for _, version in versions:
        if client.get_registered_model(version.name).aliases.get(CHAMPION) == version.version:
            client.delete_registered_model_alias(version.name, CHAMPION)


def _tell(client: "MlflowClient", versions: Sequence[Registered], *, parent: "Run") -> None:
    """The gate's reasons as tags of the experiment's run and of the versions."""
    for candidate, version in versions:
        variant = candidate.judgement.variant
        name = allowed_name(f"gate/{variant.dataset}/{variant.variant}")
        client.set_tag(parent.info.run_id, name, candidate.judgement.reason)
        for tag, value in candidate.tags.items():
            client.set_model_version_tag(version.name, version.version, tag, value)


def _announce(client: "MlflowClient", whole: Experiment, dataset: str, *, store: Path | None) -> None:
    """One line of progress with the champion's full address, and the command that serves it as the gate judged it."""
    name = model_name(whole, dataset)
    holder = client.get_registered_model(name).aliases.get(CHAMPION)
    if holder is None:
        return
    variant = client.get_model_version(name, holder).tags.get(f"{PREFIX}variant", f"version {holder}")
    where = without_password(tracking_uri(store) or "")
    line = f"champion {variant} is {champion_address(name)} at {where}"
    if isinstance(whole.task, Regression):
        line += f": {serving_command(whole, name, store=store)}"
    say(line)


NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers where a model or its alias is not registered."""


def champion(name: str, *, store: Path | None) -> str:
    """NAME/VERSION of the version of a registered model that is to be used.

    ValueError where there is no store, no such model, or none of its versions passed its gate.
    """
    from mlflow import MlflowException

    address = tracking_uri(store)
    if address is None:
        raise ValueError(f"{champion_address(name)}: set MLFLOW_TRACKING_URI")
    with quiet():
        try:
            version = connected(address).get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            where = without_password(address)
            if error.error_code in NOT_THERE:
                said = f"is not at {where} ({reason(error)}); register a model that passes its gate"
            else:
                said = f"no answer of {where} ({reason(error)}); see that MLflow runs there"
            raise ValueError(f"{champion_address(name)}: {said}") from None
    return f"{name}/{version.version}"


def champion_address(name: str) -> str:
    """Address of the version of a registered model that is to be used."""
    return f"models:/{name}@{CHAMPION}"


def serving_command(whole: Experiment, name: str, *, store: Path | None) -> str:
    """The line for a shell that predicts with the champion; recalibrated where the gate looked at that."""
    words = ["predict", champion_address(name), "TABLE"]
    if store and not os.environ.get("MLFLOW_TRACKING_URI"):
        words += ["--store", str(store)]
    for metric in whole.gate:
        measure, _, method = metric.partition("_after_")
        if method:
            if level := re.search(r"_(\d+(?:\.\d+)?)$", measure):
                words += ["--level", f"{Decimal(level[1]) / 100}"]
            words += ["--recalibrated", method]
            break
    return command(*words)
