"""An experiment through all five verbs in one process."""

from precisionflow import stages
from precisionflow.config import Experiment
from precisionflow.results.layout import Results


def through_every_stage(whole: Experiment, results: Results) -> list[Experiment]:
    """Run all stages, and the variants."""
    variants = stages.expand([whole])
    stages.prepare(variants, out=results.data)
    after_preparation(whole, variants, results)
    return variants


def after_preparation(whole: Experiment, variants: list[Experiment], results: Results) -> None:
    """All other stages."""
    models, evaluations = ([of(v) for v in variants] for of in (results.model, results.evaluation))
    for variant, model, evaluation in zip(variants, models, evaluations, strict=True):
        stages.train(variant, data=results.data, out=model)
        stages.evaluate(variant, data=results.data, model=model, out=evaluation)
    stages.aggregate([whole], evaluations=evaluations, out=results.aggregate)
    stages.report(
        [whole], models=models, evaluations=evaluations, aggregate=results.aggregate, out=results.report
    )
