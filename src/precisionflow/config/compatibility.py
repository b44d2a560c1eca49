"""Checks of what fits with what, across the parts of an experiment; the classes declare, this file compares."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from precisionflow.config.attention import Graph, factors_of
from precisionflow.config.base import Config, kind_of, members_of, nearest
from precisionflow.config.engine import BatchedEngine, DeepSpeedEngine
from precisionflow.config.learning import (
    GaussianLaw,
    GaussNewton,
    LaplaceLaw,
    LearnedPrecision,
    PredictiveCoding,
)
from precisionflow.config.likelihoods import AdaptiveSoftmax
from precisionflow.config.networks import MLP, Generative, Transformer, ensemble_of, posterior_of
from precisionflow.config.sources import TableFile
from precisionflow.config.tasks import NextToken, Regression, SequenceClassification, Tagging, Task
from precisionflow.config.tokens import RunningTokens

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def check(experiment: "Experiment") -> None:
    """ValueError with the first part that does not fit the others, and what would."""
    _task_is_learnable(experiment)
    _transformer_has_a_sequence(experiment)
    _attention_sees_no_target(experiment)
    _every_query_has_a_key(experiment)
    _parts_of_attention_fit(experiment)
    _ranks_share_alike(experiment)
    _engine_trains_it(experiment)
    _states_have_what_is_precise(experiment)
    _images_settle(experiment)
    _engine_runs_the_optimiser(experiment)
    _gradients_can_be_compared(experiment)
    _readout_can_be_tied(experiment)
    _clusters_fit_tokens_and_readout(experiment)
    _closed_form_is_left_alone(experiment)
    _posterior_fits_the_objective(experiment)
    _spread_is_of_a_number(experiment)
    _members_vote_on_classes(experiment)
    _members_share_rows(experiment)
    _rows_can_be_weighed(experiment)
    _names_differ(experiment)
    _recalibration_fits_the_task(experiment)
    _attention_can_be_inspected(experiment)
    _data_can_be_cut(experiment)
    _metrics_are_measured(experiment)
    _margins_mean_something(experiment)
    _gate_can_be_passed_and_missed(experiment)


def _task_is_learnable(experiment: "Experiment") -> None:
    task = experiment.task
    for field, config, fitting in (
        ("model", experiment.model, task.networks),
        ("objective", experiment.objective, task.likelihoods),
    ):
        if not isinstance(config, fitting):
            raise ValueError(
                f"{field}.kind: {config.kind!r} does not fit task.kind {task.kind!r}; allowed: {_kinds(fitting)}"
            )


def _transformer_has_a_sequence(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if not isinstance(model, Transformer) or not isinstance(task, Regression):
        return
    if task.context == 1:
        raise ValueError(
            f"model.kind: transformer needs rows that are sequences, and those of task.source.kind {task.source.kind} "
            "are none; use mlp, or task.source.kind node_chain"
        )
    if model.token_dropout:
        raise ValueError("model.token_dropout: the rows of a table have no ids; leave it at 0")


def _attention_can_be_inspected(experiment: "Experiment") -> None:
    if experiment.evaluation.inspect and not experiment.task.predicts_tokens:
        raise ValueError(
            f"evaluation.inspect: true needs task.kind next_token, given {experiment.task.kind!r}; leave it out"
        )


def _attention_sees_no_target(experiment: "Experiment") -> None:
    if not isinstance(experiment.model, Transformer):
        return
    prior = experiment.model.attention.prior
    if experiment.task.causal and not prior.causal:
        raise ValueError(
            f"model.attention.prior.kind: {prior.kind!r} lets a token see the later ones that it is to predict; "
            "use causal, or product of it and causal"
        )


def _every_query_has_a_key(experiment: "Experiment") -> None:
    """Of the priors a graph alone can leave a query without a key: all others hold the query's own place."""
    model, task = experiment.model, experiment.task
    if not isinstance(model, Transformer):
        return
    prior, context = model.attention.prior, task.context  # type: ignore[union-attr]
    graphs = [factor for factor in factors_of(prior) if isinstance(factor, Graph)]
    for query in range(context) if graphs else ():
        first, *others = ({key for key in graph.keys_of(query) if key < context} for graph in graphs)
        if not any(prior.possible(query, key) for key in first.intersection(*others)):
            raise ValueError(
                f"model.attention.prior: leaves the token at position {query} of {context} no key; "
                f"give an edge [{query}, key] or lower task.context"
            )


def _parts_of_attention_fit(experiment: "Experiment") -> None:
    if not isinstance(experiment.model, Transformer):
        return
    attention = experiment.model.attention
    edges, value = attention.edges, attention.value
    for field, part, where, kind, fitting in (
        ("potential", attention.potential, "edges", edges.kind, edges.potentials),
        ("prior", attention.prior, "edges", edges.kind, edges.priors),
        ("potential", attention.potential, "value", value.kind, value.potentials),
        ("edges", edges, "value", value.kind, value.posteriors),
    ):
        if not isinstance(part, fitting):
            raise ValueError(
                f"model.attention.{field}.kind: {part.kind!r} does not fit model.attention.{where}.kind {kind!r}; "
                f"allowed: {_kinds(fitting)}"
            )


def _ranks_share_alike(experiment: "Experiment") -> None:
    engine, size, parts = (
        experiment.engine,
        experiment.training.batch_size,
        experiment.training.accumulate,
    )
    if isinstance(engine, DeepSpeedEngine) and size % engine.ranks:
        raise ValueError(
            f"training.batch_size {size} is not a multiple of "
            f"engine.ranks {engine.ranks}; every rank takes an equal share"
        )
    ranks = engine.ranks if isinstance(engine, DeepSpeedEngine) else 1
    if size % (ranks * parts):
        raise ValueError(
            f"training.batch_size {size} over {ranks} ranks is not a multiple of "
            f"training.accumulate {parts}; the parts are equally large"
        )


def _engine_trains_it(experiment: "Experiment") -> None:
    engine, posterior = experiment.engine, posterior_of(experiment.model)
    if not (
        isinstance(engine, experiment.task.engines) and isinstance(experiment.learning, engine.learnings)
    ):
        tasks = [task for task in members_of(Task) if type(engine) in task.engines]  # type: ignore[attr-defined]
        raise ValueError(
            f"engine.kind: {engine.kind} trains task.kind {_kinds(tasks)} by "
            f"learning.kind {_kinds(engine.learnings)}; use engine.kind torch"
        )
    if posterior is not None and not isinstance(engine, posterior.engines):
        raise ValueError(
            f"model.posterior.kind: {posterior.kind} needs engine.kind {_kinds(posterior.engines)}; "
            "change one of them"
        )


def _states_have_what_is_precise(experiment: "Experiment") -> None:
    learning, model = experiment.learning, experiment.model
    if not isinstance(learning, PredictiveCoding) or isinstance(model, Transformer):
        return
    precision = learning.precision
    if isinstance(precision, LearnedPrecision) and precision.per == "position":
        raise ValueError(
            f"learning.precision.per: model.kind {model.kind!r} has rows, whose states have no positions; "
            "use layer or channel"
        )


def _images_settle(experiment: "Experiment") -> None:
    learning, model, engine = experiment.learning, experiment.model, experiment.engine
    if not isinstance(model, Generative):
        if isinstance(learning, PredictiveCoding) and isinstance(learning.descent, GaussNewton):
            raise ValueError(
                f"learning.descent.kind: gauss_newton needs a model of images, given model.kind {model.kind!r}; "
                "use gradient, momentum or secant"
            )
        return
    if not isinstance(learning, PredictiveCoding):
        raise ValueError(
            f"learning.kind: model.kind generative settles its states, given {learning.kind!r}; use predictive_coding"
        )
    if isinstance(learning.law, LaplaceLaw):
        raise ValueError(
            "learning.law.kind: laplace has no slope at 0, which a model of images needs; use another law"
        )
    if model.beliefs == "laplace" and not isinstance(learning.law, GaussianLaw):
        raise ValueError(
            f"model.beliefs: laplace needs learning.law.kind gaussian, given {learning.law.kind!r}; use mode"
        )
    if isinstance(model.prior, LearnedPrecision) and model.prior.per == "position":
        raise ValueError("model.prior.per: the highest state has no positions; use layer or channel")
    if learning.layers is not None and 0 not in learning.layers:
        raise ValueError(
            "learning.layers: leaves out layer 0, the highest state of model.kind generative; name it too"
        )
    if learning.pathway != "bidirectional":
        raise ValueError(
            f"learning.pathway: {learning.pathway} keeps states of model.kind generative from each other or from the "
            "image; use bidirectional"
        )
    if learning.start == "amortised":
        raise ValueError(
            "learning.start: amortised guesses no states of model.kind generative; use forward or zeros"
        )
    if engine.dtype != "float32" or getattr(engine, "compile", False):
        raise ValueError(
            "engine: model.kind generative is trained in float32 and without compile; leave both as they are"
        )


def _engine_runs_the_optimiser(experiment: "Experiment") -> None:
    engine, training = experiment.engine, experiment.training
    if not isinstance(training.optimiser, engine.optimisers):
        remedy = "engine.zero_stage 0" if isinstance(engine, DeepSpeedEngine) else "engine.kind torch"
        raise ValueError(
            f"training.optimiser.kind: {training.optimiser.kind} needs whole matrices, which engine.kind "
            f"{engine.kind} does not keep; use {remedy} or training.optimiser.kind {_kinds(engine.optimisers)}"
        )
    if training.accumulate > 1 and not engine.accumulates:
        raise ValueError(
            f"training.accumulate: engine.kind {engine.kind} takes every batch whole; leave it at 1 "
            "or use engine.kind torch"
        )


def _gradients_can_be_compared(experiment: "Experiment") -> None:
    engine, learning = experiment.engine, experiment.learning
    partitioned = isinstance(engine, DeepSpeedEngine) and engine.zero_stage == 3
    if experiment.training.monitor_every and partitioned and isinstance(learning, PredictiveCoding):
        raise ValueError(
            "training.monitor_every: compares whole gradients, which engine.zero_stage 3 does not keep; "
            "use engine.zero_stage 2 or leave it out"
        )


def _readout_can_be_tied(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if isinstance(model, Transformer) and model.tied_readout and not task.predicts_tokens:
        raise ValueError(f"model.tied_readout: task.kind {task.kind} predicts no tokens; leave it at false")


def _clusters_fit_tokens_and_readout(experiment: "Experiment") -> None:
    objective, task, model = experiment.objective, experiment.task, experiment.model
    if not isinstance(objective, AdaptiveSoftmax) or not isinstance(task, NextToken):
        return
    if not task.tokens.by_count:
        sorted_kinds = [of for of in members_of(RunningTokens) if of.by_count]  # type: ignore[attr-defined]
        raise ValueError(
            f"objective.kind: adaptive_softmax needs a vocabulary in the order of counts, and task.tokens.kind "
            f"{task.tokens.kind} has none; use {_kinds(sorted_kinds)}, or objective.kind cross_entropy"
        )
    if objective.shrink > 1 and isinstance(model, Transformer) and model.tied_readout:
        raise ValueError(
            f"objective.shrink: {objective.shrink} needs weights of its own, and model.tied_readout has those of the "
            "embedding; leave it at 1 or give model.tied_readout false"
        )


def _closed_form_is_left_alone(experiment: "Experiment") -> None:
    model = experiment.model
    for field, only in model.leaves.items():
        if getattr(experiment, field) != only:
            raise ValueError(
                f"{field}: model.kind {model.kind} learns a Gaussian of its own; "
                f"leave {field}.kind {kind_of(type(only))} with its defaults"
            )
    if not isinstance(experiment.engine, model.engines):
        raise ValueError(
            f"model.kind: {model.kind} needs engine.kind {_kinds(model.engines)}; change one of them"
        )


def _posterior_fits_the_objective(experiment: "Experiment") -> None:
    posterior = posterior_of(experiment.model)
    if posterior is not None and not isinstance(experiment.objective, posterior.likelihoods):
        raise ValueError(
            f"model.posterior.kind: {posterior.kind} does not fit objective.kind {experiment.objective.kind!r}; "
            f"allowed: {_kinds(part for part in posterior.likelihoods if part in experiment.task.likelihoods)}"
        )


def _spread_is_of_a_number(experiment: "Experiment") -> None:
    ensemble = ensemble_of(experiment.model)
    if ensemble is not None and ensemble.spread == "fitted" and not isinstance(experiment.task, Regression):
        raise ValueError(
            "model.posterior.spread fitted is a factor on the spread of a number; "
            f"task.kind {experiment.task.kind!r} has classes, so recalibrate by temperature"
        )


def _members_vote_on_classes(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if not isinstance(model, Transformer) or ensemble_of(model) is None:
        return
    if not isinstance(task, SequenceClassification | Tagging):
        raise ValueError(
            f"model.posterior.kind: transformers of an ensemble vote on classes of texts or tags of words, and "
            f"task.kind {task.kind!r} has neither; use point, or task.kind sequence_classification or tagging"
        )


def _members_share_rows(experiment: "Experiment") -> None:
    ensemble = ensemble_of(experiment.model)
    if ensemble is not None and ensemble.folds and not isinstance(experiment.engine, BatchedEngine):
        raise ValueError(
            f"model.posterior.folds: engine.kind {experiment.engine.kind} gives every member the same rows; "
            "leave it out or use engine.kind batched"
        )


def _rows_can_be_weighed(experiment: "Experiment") -> None:
    source, model = experiment.task.source, experiment.model
    posterior = posterior_of(model) if isinstance(model, MLP) else None
    if not isinstance(source, TableFile) or source.weights is None:
        return
    for field, kind, weighs in (
        ("model.kind", model.kind, posterior is not None),
        ("model.posterior.kind", posterior and posterior.kind, posterior is None or posterior.weighs_rows),
    ):
        if not weighs:
            raise ValueError(
                f"task.source.weights: {field} {kind} counts every row alike; leave the weights out or change it"
            )


def _names_differ(experiment: "Experiment") -> None:
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


def _recalibration_fits_the_task(experiment: "Experiment") -> None:
    task = experiment.task
    for method in experiment.evaluation.recalibration:
        if method not in task.recalibrations:
            raise ValueError(
                f"evaluation.recalibration: {method} does not fit task.kind {task.kind!r}; "
                f"allowed: {', '.join(task.recalibrations)}"
            )


def _data_can_be_cut(experiment: "Experiment") -> None:
    if experiment.splits != (0,) and not experiment.task.has_splits:
        raise ValueError(
            f"splits: given {list(experiment.splits)}; a text is cut by position, once; "
            "keep [0] and repeat with seeds"
        )


def _metrics_are_measured(experiment: "Experiment") -> None:
    measured = experiment.metrics
    named = [("ablation.metrics", name) for name in experiment.ablation.metrics]
    named += [("ablation.margins", name) for name in experiment.ablation.margins]
    for key, name in [*named, *(("gate", name) for name in experiment.gate)]:
        if name not in measured:
            raise ValueError(
                f"{key}: task.kind {experiment.task.kind!r} has no metric {name!r}; "
                f"allowed: {', '.join(measured)}{nearest(name, measured)}"
            )


def _margins_mean_something(experiment: "Experiment") -> None:
    for metric, margin in experiment.ablation.margins.items():
        if margin.relative is not None and metric.startswith(experiment.task.without_zero):
            raise ValueError(
                f"ablation.margins.{metric}.relative: {metric} has no zero that a share could be of; "
                "give an absolute margin"
            )


def _gate_can_be_passed_and_missed(experiment: "Experiment") -> None:
    for metric, bounds in experiment.gate.items():
        if bounds.low is None and bounds.high is None:
            raise ValueError(f"gate.{metric}: has neither low nor high; give one of them")
        if bounds.low is not None and bounds.high is not None and bounds.low > bounds.high:
            raise ValueError(
                f"gate.{metric}: low {bounds.low:g} is above high {bounds.high:g}; exchange them"
            )


def _kinds(parts: Iterable[type[Config]]) -> str:
    return ", ".join(str(kind_of(part)) for part in parts)
