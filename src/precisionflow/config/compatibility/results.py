"""What evaluation, ablation and gate can ask for. Each check raises ValueError."""

from typing import TYPE_CHECKING

from precisionflow.config.attention import Attention
from precisionflow.config.base import nearest
from precisionflow.config.evaluation import OF_BOUND
from precisionflow.config.networks import Transformer
from precisionflow.config.sources import ConlluFile, TableFile
from precisionflow.config.tables import GivenSplit
from precisionflow.config.tasks import Classification, Images, SequenceClassification, Tagging

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def names_differ(experiment: "Experiment") -> None:
    for key, names in (
        ("seeds", experiment.seeds),
        ("splits", experiment.splits),
        ("evaluation.levels", experiment.evaluation.levels),
        ("ablation.metrics", experiment.ablation.metrics),
        ("evaluation.recalibration", experiment.evaluation.recalibration),
    ):
        for name in names:
            if list(names).count(name) > 1:
                raise ValueError(f"{key}: names {name} twice; name it once")


def recalibration_fits_the_task(experiment: "Experiment") -> None:
    task = experiment.task
    if isinstance(task, Images) and not task.source.labelled and experiment.evaluation.recalibration:
        raise ValueError(
            "evaluation.recalibration: mends probabilities of classes, and task.source.target names none; leave it out"
        )
    for method in experiment.evaluation.recalibration:
        if method not in task.recalibrations:
            raise ValueError(
                f"evaluation.recalibration: {method} does not fit task.kind {task.kind!r}; "
                f"allowed: {', '.join(task.recalibrations) or 'none'}"
            )


def held_out_rows_are_never_tested(experiment: "Experiment") -> None:
    evaluation, task = experiment.evaluation, experiment.task
    if evaluation.held_out == "split":
        return
    if not evaluation.recalibration:
        raise ValueError(
            "evaluation.held_out: all_splits, and evaluation.recalibration names nothing to fit; name a method"
        )
    if not isinstance(task, Classification | SequenceClassification | Tagging):
        raise ValueError(
            f"evaluation.held_out: all_splits is for classes of rows, texts and words, task.kind {task.kind!r} has "
            "none; leave it out"
        )
    if len(experiment.splits) < 2:
        raise ValueError("evaluation.held_out: all_splits, and splits has one; give more, such as [0, 1, 2]")
    if not _tests_the_same(task.source):
        raise ValueError(
            "evaluation.held_out: all_splits needs task.source.test or a split of kind given; where each split draws "
            "test rows, those of one are validation rows of another"
        )


def _tests_the_same(source: object) -> bool:
    """Whether all splits have the same test rows."""
    return isinstance(source, TableFile | ConlluFile) and (
        source.test is not None or (isinstance(source, TableFile) and isinstance(source.split, GivenSplit))
    )


def attention_can_be_inspected(experiment: "Experiment") -> None:
    if experiment.evaluation.inspect and not experiment.task.predicts_tokens:
        raise ValueError(
            f"evaluation.inspect: true needs task.kind next_token, given {experiment.task.kind!r}; leave it out"
        )


def data_can_be_cut(experiment: "Experiment") -> None:
    if experiment.splits == (0,):
        return
    if experiment.task.several_splits == "none":
        raise ValueError(
            f"splits: given {list(experiment.splits)}; its data are cut once; keep [0] and repeat with seeds"
        )
    source = experiment.task.source
    if isinstance(source, TableFile | ConlluFile) and None not in (source.valid, source.test):
        raise ValueError(
            f"splits: given {list(experiment.splits)}; task.source.valid and task.source.test are files, so nothing "
            "is drawn; keep [0] and repeat with seeds"
        )


def metrics_are_measured(experiment: "Experiment") -> None:
    measured = experiment.metrics
    named = [("ablation.metrics", name) for name in experiment.ablation.metrics]
    named += [("ablation.margins", name) for name in experiment.ablation.margins]
    for key, name in [*named, *(("gate", name) for name in experiment.gate)]:
        if name in measured:
            continue
        if name in experiment.task.measured(experiment.evaluation):
            raise ValueError(f"{key}: {name} is of {_lacked(name, experiment)} has none; leave it out")
        raise ValueError(
            f"{key}: task.kind {experiment.task.kind!r} has no metric {name!r}; "
            f"allowed: {', '.join(measured)}{nearest(name, measured)}"
        )


def _lacked(name: str, experiment: "Experiment") -> str:
    """What a metric is of, and the part of an experiment that has none."""
    model = experiment.model
    if name in OF_BOUND:
        return "the bound of an exponential energy, and model.energy quadratic"
    if isinstance(model, Transformer) and not isinstance(model.attention, Attention):
        return f"edges between tokens, and model.attention.kind {model.attention.kind}"
    return f"edges between tokens, and model.kind {model.kind}"


def margins_mean_something(experiment: "Experiment") -> None:
    for metric, margin in experiment.ablation.margins.items():
        if margin.relative is not None and metric.startswith(experiment.task.without_zero):
            raise ValueError(
                f"ablation.margins.{metric}.relative: {metric} has no zero that a share could be of; "
                "give an absolute margin"
            )


def looks_count_seeds(experiment: "Experiment") -> None:
    looks, seeds = experiment.ablation.looks, len(experiment.seeds)
    if looks and len(experiment.splits) > 1:
        raise ValueError(
            "ablation.looks: are taken by seeds of one split; give one in splits, or leave the looks out"
        )
    if looks and seeds not in looks:
        raise ValueError(
            f"ablation.looks: given {list(looks)}, and seeds has {seeds}; the number of seeds is one of the looks"
        )


def gate_can_be_passed_and_missed(experiment: "Experiment") -> None:
    for metric, bounds in experiment.gate.items():
        if bounds.low is None and bounds.high is None:
            raise ValueError(f"gate.{metric}: has neither low nor high; give one of them")
        if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
            raise ValueError(
                f"gate.{metric}: low {bounds.low:g} is above high {bounds.high:g}; exchange them"
            )
