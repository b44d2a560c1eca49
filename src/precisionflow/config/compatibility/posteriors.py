"""What fits a posterior, and a model that learns one of its own. Each check raises ValueError."""

from typing import TYPE_CHECKING

from precisionflow.config.base import kind_of
from precisionflow.config.compatibility.kinds import kinds
from precisionflow.config.engine import BatchedEngine
from precisionflow.config.external import External, PredictionFile
from precisionflow.config.networks import MLP, Transformer, ensemble_of, posterior_of
from precisionflow.config.posteriors import LaplaceApproximation, MonteCarloDropout, Point
from precisionflow.config.sources import TableFile
from precisionflow.config.tasks import Classification, Regression, SequenceClassification, Tagging

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def closed_form_is_left_alone(experiment: "Experiment") -> None:
    model = experiment.model
    for field, only in model.leaves.items():
        if getattr(experiment, field) != only:
            raise ValueError(
                f"{field}: model.kind {model.kind} learns in its own way; "
                f"leave {field}.kind {kind_of(type(only))} with its defaults"
            )
    if not isinstance(experiment.engine, model.engines):
        raise ValueError(
            f"model.kind: {model.kind} needs engine.kind {kinds(model.engines)}; change one of them"
        )


def models_from_outside_are_judged_plainly(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if not isinstance(model, External):
        return
    fitting = [each for each in model.objectives if isinstance(each, task.likelihoods)]
    if experiment.objective not in fitting:
        raise ValueError(
            f"objective: model.kind {model.kind} learns in its own way; "
            f"leave objective.kind {kinds(type(each) for each in fitting)} with its defaults"
        )
    if isinstance(task, Classification) and task.unknown:
        raise ValueError(
            f"task.unknown: model.kind {model.kind} states nothing of rows of unknown classes; leave one of them out"
        )


def posterior_fits_the_objective(experiment: "Experiment") -> None:
    posterior = posterior_of(experiment.model)
    if posterior is not None and not isinstance(experiment.objective, posterior.likelihoods):
        raise ValueError(
            f"model.posterior.kind: {posterior.kind} does not fit objective.kind {experiment.objective.kind!r}; "
            f"allowed: {kinds(part for part in posterior.likelihoods if part in experiment.task.likelihoods)}"
        )


def spread_is_of_a_number(experiment: "Experiment") -> None:
    ensemble = ensemble_of(experiment.model)
    if ensemble is not None and ensemble.spread == "fitted" and not isinstance(experiment.task, Regression):
        raise ValueError(
            "model.posterior.spread fitted is a factor on the spread of a number; "
            f"task.kind {experiment.task.kind!r} has classes, so recalibrate by temperature"
        )


def dropout_can_be_sampled(experiment: "Experiment") -> None:
    model = experiment.model
    if not isinstance(model, MLP | Transformer) or model.dropout:
        return
    if isinstance(model.posterior, MonteCarloDropout):
        raise ValueError("model.posterior.kind mc_dropout needs model.dropout above 0; give it, such as 0.1")


def transformers_vote_on_classes(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if not isinstance(model, Transformer) or isinstance(model.posterior, Point):
        return
    if not isinstance(task, SequenceClassification | Tagging):
        raise ValueError(
            f"model.posterior.kind: {model.posterior.kind} of a transformer states classes of texts or tags of words, "
            f"and task.kind {task.kind!r} has neither; use point, or task.kind sequence_classification or tagging"
        )
    if isinstance(model.posterior, LaplaceApproximation) and model.posterior.weights == "all":
        raise ValueError(
            "model.posterior.weights: all needs one full matrix over the weights, and a transformer has too many; "
            "use last_layer"
        )


def members_share_rows(experiment: "Experiment") -> None:
    ensemble = ensemble_of(experiment.model)
    if ensemble is not None and ensemble.folds and not isinstance(experiment.engine, BatchedEngine):
        raise ValueError(
            f"model.posterior.folds: engine.kind {experiment.engine.kind} gives every member the same rows; "
            "leave it out or use engine.kind batched"
        )


def rows_can_be_weighed(experiment: "Experiment") -> None:
    source, model = experiment.task.source, experiment.model
    posterior = posterior_of(model) if isinstance(model, MLP) else None
    if not isinstance(source, TableFile) or source.weights is None:
        return
    for field, kind, weighs in (
        ("model.kind", model.kind, posterior is not None or isinstance(model, PredictionFile)),
        ("model.posterior.kind", posterior and posterior.kind, posterior is None or posterior.weighs_rows),
    ):
        if not weighs:
            raise ValueError(
                f"task.source.weights: {field} {kind} counts every row alike; leave the weights out or change it"
            )
