"""Endpoints of a model, by what predicts in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from precisionflow.evaluation.tasks.allocation import ScenePredictor
from precisionflow.evaluation.tasks.classification import RowClassPredictor
from precisionflow.evaluation.tasks.images import ImagePredictor
from precisionflow.evaluation.tasks.planning import AgentPredictor
from precisionflow.evaluation.tasks.regression import TablePredictor
from precisionflow.records.arithmetic import ArithmeticCard
from precisionflow.serving.answers.of_task import answers_of, contract_of
from precisionflow.serving.answers.rows import OfFeatures
from precisionflow.serving.arithmetic.variants import variants_of
from precisionflow.serving.endpoints.agent import Action, Perception, Planning
from precisionflow.serving.endpoints.endpoint import Endpoint
from precisionflow.serving.endpoints.images import ImagePerception
from precisionflow.serving.endpoints.patches import Patches
from precisionflow.serving.endpoints.predict import PredictFrame, PredictRows
from precisionflow.serving.model import ServedModel


def endpoints_of(model: ServedModel, *, measured: ArithmeticCard | None = None) -> dict[str, Endpoint]:
    """Name -> endpoint: `predict` of every model; perception, planning, action and patches of those that have them.

    `measured` says what its predictions take and err in each arithmetic of this machine.
    """
    predictor = model.predictor
    experiment = predictor.experiment_card.experiment
    answers, contract = answers_of(experiment.task), contract_of(experiment, predictor.data_card)
    found: list[Endpoint]
    match answers:
        case OfFeatures():
            rows = _rows(PredictRows("predict", contract, model, answers), measured)
            found = [rows]
            if isinstance(predictor, ImagePredictor):
                found.append(ImagePerception.of_images(rows, predictor))
            if isinstance(predictor, ScenePredictor):
                found.append(Patches.of_scenes(rows, predictor))
        case _:
            found = [PredictFrame("predict", contract, model, answers)]
    if isinstance(predictor, AgentPredictor):
        found += [kind.of_agent(predictor) for kind in (Perception, Planning, Action)]
    return {endpoint.name: endpoint for endpoint in found}


def _rows(endpoint: PredictRows, measured: ArithmeticCard | None) -> PredictRows:
    """The endpoint with the variants that were measured."""
    predictor = endpoint.model.predictor
    if measured is None or not isinstance(predictor, TablePredictor | RowClassPredictor):
        return endpoint
    there = variants_of(predictor, largest=measured.largest)
    variants = {of: replace(endpoint.model, predictor=variant) for of, variant in there.items()}
    kept = tuple(variant for variant in measured.variants if variant.arithmetic in variants)
    return replace(endpoint, measured=measured.model_copy(update={"variants": kept}), variants=variants)


def named(endpoints: Mapping[str, Endpoint], only: Sequence[str], *, name: str) -> dict[str, Endpoint]:
    """The endpoints that are named, all where none is; ValueError for one that the model lacks."""
    there = dict(endpoints)
    if strange := [each for each in only if each not in there]:
        raise ValueError(f"--endpoint {strange[0]}: {name} has {', '.join(there)}; name one of these")
    return {each: there[each] for each in only or there}
