"""What fits a task: its network, its objective, attention over its tokens. Each check raises ValueError."""

from typing import TYPE_CHECKING

from precisionflow.config.agents import MOST_POLICIES, Agent
from precisionflow.config.allocation import Budgeted, PatchReader
from precisionflow.config.attention import Attention, StatedPrecision, first_without_a_key
from precisionflow.config.base import members_of
from precisionflow.config.compatibility.kinds import kinds
from precisionflow.config.drawn_tables import MovingTarget
from precisionflow.config.filters import Filter
from precisionflow.config.likelihoods import AdaptiveSoftmax
from precisionflow.config.networks import Transformer
from precisionflow.config.tasks import (
    Allocation,
    NextToken,
    Planning,
    Regression,
    StageAllocation,
    VideoAllocation,
)
from precisionflow.config.tokens import RunningTokens

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def task_is_learnable(experiment: "Experiment") -> None:
    task = experiment.task
    for field, config, fitting in (
        ("model", experiment.model, task.networks),
        ("objective", experiment.objective, task.likelihoods),
    ):
        if not isinstance(config, fitting):
            raise ValueError(
                f"{field}.kind: {config.kind!r} does not fit task.kind {task.kind!r}; allowed: {kinds(fitting)}"
            )


def transformer_has_a_sequence(experiment: "Experiment") -> None:
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


def attention_sees_no_target(experiment: "Experiment") -> None:
    if not isinstance(experiment.model, Transformer):
        return
    attention = experiment.model.attention
    if not experiment.task.causal or attention.causal:
        return
    if not isinstance(attention, Attention):
        raise ValueError(
            f"model.attention.kind: {attention.kind!r} infers its nodes of all tokens, of the later ones too that a "
            "token is to predict; leave kind out and use model.attention.prior.kind causal"
        )
    raise ValueError(
        f"model.attention.prior.kind: {attention.prior.kind!r} lets a token see the later ones that it is to predict; "
        "use causal, or product of it and causal"
    )


def every_query_has_a_key(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if not isinstance(model, Transformer) or not isinstance(model.attention, Attention):
        return
    context = task.context  # type: ignore[union-attr]
    query = first_without_a_key(model.attention.prior, positions=context)
    if query is not None:
        raise ValueError(
            f"model.attention.prior: leaves the token at position {query} of {context} no key; "
            f"give an edge [{query}, key] or lower task.context"
        )


def parts_of_attention_fit(experiment: "Experiment") -> None:
    model = experiment.model
    if not isinstance(model, Transformer) or not isinstance(model.attention, Attention):
        return
    attention, width = model.attention, model.width
    edges, value = attention.edges, attention.value
    if isinstance(attention.potential, StatedPrecision) and (attention.potential.rank or 0) > width:
        raise ValueError(
            f"model.attention.potential.rank {attention.potential.rank} is above model.width {width}, where a map "
            "needs no rank; lower it or leave it out"
        )
    for field, part, where, kind, fitting in (
        ("potential", attention.potential, "edges", edges.kind, edges.potentials),
        ("prior", attention.prior, "edges", edges.kind, edges.priors),
        ("potential", attention.potential, "value", value.kind, value.potentials),
        ("edges", edges, "value", value.kind, value.posteriors),
    ):
        if not isinstance(part, fitting):
            raise ValueError(
                f"model.attention.{field}.kind: {part.kind!r} does not fit model.attention.{where}.kind {kind!r}; "
                f"allowed: {kinds(fitting)}"
            )


def policies_can_be_enumerated(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if (
        not isinstance(model, Agent)
        or not isinstance(task, Planning)
        or model.policies not in model.enumerated
    ):
        return
    actions, steps = task.source.actions, min(model.horizon, task.source.length)
    if actions**steps > MOST_POLICIES:
        raise ValueError(
            f"model.horizon: {actions} actions over {steps} steps are {actions**steps:,} policies, and "
            f"model.policies {model.policies} evaluates each; lower it, or use sophisticated"
        )


def filter_knows_its_target(experiment: "Experiment") -> None:
    model, source = experiment.model, experiment.task.source
    if not isinstance(model, Filter):
        return
    if not isinstance(source, MovingTarget):
        raise ValueError(
            f"model.kind: filter knows how a target moves, and task.source.kind {source.kind} has none; "
            "use task.source.kind moving_target"
        )
    if model.by != "generalised":
        return
    if source.length <= model.embedding:
        raise ValueError(
            f"model.embedding: {model.embedding} derivatives need {model.embedding + 1} readings, and "
            f"task.source.length is {source.length}; lower one or raise the other"
        )
    if model.smoothness is None and not (source.motion_smoothness and source.reading_smoothness):
        raise ValueError(
            "model.smoothness: white noise has no derivatives, and a noise of task.source is white; give the seconds "
            "that generalised filtering is to assume"
        )


def budget_can_be_kept(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if isinstance(model, Budgeted) and isinstance(task, Allocation | VideoAllocation):
        model.check_budget(task.source.patches**2)
    if isinstance(model, Budgeted) and isinstance(task, StageAllocation):
        model.check_budget(task.source.stages)
    if isinstance(model, PatchReader) and isinstance(task, Allocation):
        model.check_pixels(task.source.patch**2)


def readout_can_be_tied(experiment: "Experiment") -> None:
    model, task = experiment.model, experiment.task
    if isinstance(model, Transformer) and model.tied_readout and not task.predicts_tokens:
        raise ValueError(f"model.tied_readout: task.kind {task.kind} predicts no tokens; leave it at false")


def clusters_fit_tokens_and_readout(experiment: "Experiment") -> None:
    objective, task, model = experiment.objective, experiment.task, experiment.model
    if not isinstance(objective, AdaptiveSoftmax) or not isinstance(task, NextToken):
        return
    if not task.tokens.by_count:
        sorted_kinds = [of for of in members_of(RunningTokens) if of.by_count]  # type: ignore[attr-defined]
        raise ValueError(
            f"objective.kind: adaptive_softmax needs a vocabulary in the order of counts, and task.tokens.kind "
            f"{task.tokens.kind} has none; use {kinds(sorted_kinds)}, or objective.kind cross_entropy"
        )
    if objective.shrink > 1 and isinstance(model, Transformer) and model.tied_readout:
        raise ValueError(
            f"objective.shrink: {objective.shrink} needs weights of its own, and model.tied_readout has those of the "
            "embedding; leave it at 1 or give model.tied_readout false"
        )
