"""What fits an engine and a way of learning. Each check raises ValueError."""

from typing import TYPE_CHECKING

from precisionflow.config.attention import Attention, StatedPrecision
from precisionflow.config.base import members_of
from precisionflow.config.compatibility.kinds import kinds
from precisionflow.config.engine import DeepSpeedEngine
from precisionflow.config.layers import (
    cut_layers,
    kinds_of_errors,
    layers_with_errors,
    require_kinds,
    require_raised,
)
from precisionflow.config.learning import (
    Backpropagation,
    GaussianLaw,
    GaussNewton,
    LaplaceLaw,
    LearnedPrecision,
    PredictiveCoding,
)
from precisionflow.config.networks import Chain, Generative, Transformer, posterior_of
from precisionflow.config.tasks import Task

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def ranks_share_alike(experiment: "Experiment") -> None:
    engine, size, parts = (
        experiment.engine,
        experiment.training.batch_size,
        experiment.training.accumulate,
    )
    ranks = engine.replicas if isinstance(engine, DeepSpeedEngine) else 1
    if size % ranks:
        raise ValueError(
            f"training.batch_size {size} is not a multiple of its {ranks} shares, {_shares(engine)}; take such a "
            "multiple, as all are equally large"
        )
    if size % (ranks * parts):
        raise ValueError(
            f"training.batch_size {size}: a share of it, {size // ranks} rows, is not a multiple of "
            f"training.accumulate {parts}; the parts are equally large"
        )


def _shares(engine: object) -> str:
    """Where the number of shares of a batch comes from."""
    assert isinstance(engine, DeepSpeedEngine)
    if engine.pipeline_stages == 1:
        return f"one of each rank (engine.ranks {engine.ranks})"
    return f"engine.ranks {engine.ranks} / engine.pipeline_stages {engine.pipeline_stages}"


def engine_trains_it(experiment: "Experiment") -> None:
    engine, posterior = experiment.engine, posterior_of(experiment.model)
    if not (
        isinstance(engine, experiment.task.engines) and isinstance(experiment.learning, engine.learnings)
    ):
        tasks = [task for task in members_of(Task) if type(engine) in task.engines]  # type: ignore[attr-defined]
        raise ValueError(
            f"engine.kind: {engine.kind} trains task.kind {kinds(tasks)} by "
            f"learning.kind {kinds(engine.learnings)}; use engine.kind torch"
        )
    if posterior is not None and not isinstance(engine, posterior.engines):
        raise ValueError(
            f"model.posterior.kind: {posterior.kind} needs engine.kind {kinds(posterior.engines)}; "
            "change one of them"
        )


def layers_can_lie_apart(experiment: "Experiment") -> None:
    engine, model, training = experiment.engine, experiment.model, experiment.training
    if not isinstance(engine, DeepSpeedEngine) or engine.pipeline_stages == 1:
        return
    where = f"engine.pipeline_stages {engine.pipeline_stages}"
    if not isinstance(experiment.learning, Backpropagation):
        raise ValueError(
            f"learning.kind: {experiment.learning.kind} settles all layers at once, which {where} keeps apart; use "
            "backpropagation or engine.pipeline_stages 1"
        )
    attention = model.attention if isinstance(model, Transformer) else None
    potential = attention.potential if isinstance(attention, Attention) else None
    if isinstance(potential, StatedPrecision) and potential.shared:
        raise ValueError(
            f"model.attention.potential.shared: one map of all layers, which {where} keeps apart; give false or "
            "engine.pipeline_stages 1"
        )
    if isinstance(model, Transformer) and model.tied_readout:
        raise ValueError(
            f"model.tied_readout: its weights are those of the embedding, which {where} keeps on another rank; give "
            "false or engine.pipeline_stages 1"
        )
    for name, given in (("monitor_every", training.monitor_every), ("profile", training.profile)):
        if given:
            raise ValueError(
                f"training.{name}: looks at all layers at once, which {where} keeps apart; leave it out or use "
                "engine.pipeline_stages 1"
            )


def layers_are_there(experiment: "Experiment") -> None:
    learning, model = experiment.learning, experiment.model
    if not isinstance(learning, PredictiveCoding) or not isinstance(model, Chain):
        return
    cut_layers(learning, layers_with_errors(learning, count=len(model.layer_kinds)))
    require_kinds(learning, kinds_of_errors(learning, model))
    if isinstance(model, Generative):
        require_raised(model.prior, [0], key="model.prior")


def states_have_what_is_precise(experiment: "Experiment") -> None:
    learning, model = experiment.learning, experiment.model
    if not isinstance(learning, PredictiveCoding):
        return
    for key, precision in learning.precisions.items():
        if not isinstance(precision, LearnedPrecision) or precision.per not in ("position", "head"):
            continue
        if not isinstance(model, Transformer):
            raise ValueError(
                f"{key}.per: model.kind {model.kind!r} has rows, whose states have no {precision.per}s; "
                "use layer or channel"
            )
        if precision.per == "head" and key not in (
            "learning.precision",
            "learning.by_layer.attention.precision",
        ):
            raise ValueError(f"{key}.per: attention alone has heads; use layer, channel or position")


def norms_stand_off_zero(experiment: "Experiment") -> None:
    learning, model = experiment.learning, experiment.model
    if not isinstance(learning, PredictiveCoding) or not isinstance(model, Transformer):
        return
    if learning.start == "zeros" and learning.layers != ():
        raise ValueError(
            "learning.start: zeros puts states where model.norm of a transformer is steepest, 1 / sqrt(epsilon), so "
            "that the first step throws them, layer by layer further; use forward or amortised"
        )


def images_settle(experiment: "Experiment") -> None:
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
    for key, law in learning.laws.items():
        if isinstance(law, LaplaceLaw):
            raise ValueError(
                f"{key}.kind: laplace has no slope at 0, which a model of images needs; use another law"
            )
        if model.beliefs == "laplace" and not isinstance(law, GaussianLaw):
            raise ValueError(
                f"model.beliefs: laplace needs {key}.kind gaussian, given {law.kind!r}; use mode"
            )
    if isinstance(model.prior, LearnedPrecision) and model.prior.per in ("position", "head"):
        raise ValueError(
            f"model.prior.per: the highest state has no {model.prior.per}s; use layer or channel"
        )
    if learning.layers is not None and 0 not in learning.layers:
        raise ValueError(
            "learning.layers: leaves out layer 0, the highest state of model.kind generative; name it too"
        )
    if learning.pathway != "bidirectional":
        raise ValueError(
            f"learning.pathway: {learning.pathway} keeps states of model.kind generative from each other or from the "
            "image; use bidirectional"
        )
    if engine.dtype != "float32" or getattr(engine, "compile", False):
        raise ValueError(
            "engine: model.kind generative is trained in float32 and without compile; leave both as they are"
        )


def engine_runs_the_optimiser(experiment: "Experiment") -> None:
    engine, training = experiment.engine, experiment.training
    if not isinstance(training.optimiser, engine.optimisers):
        remedy = "engine.zero_stage 0" if isinstance(engine, DeepSpeedEngine) else "engine.kind torch"
        raise ValueError(
            f"training.optimiser.kind: {training.optimiser.kind} needs whole matrices, which engine.kind "
            f"{engine.kind} does not keep; use {remedy} or training.optimiser.kind {kinds(engine.optimisers)}"
        )
    if training.accumulate > 1 and not engine.accumulates:
        raise ValueError(
            f"training.accumulate: engine.kind {engine.kind} takes every batch whole; leave it at 1 "
            "or use engine.kind torch"
        )
