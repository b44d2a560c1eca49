"""What an analysis can ask for. Each check raises ValueError."""

from typing import TYPE_CHECKING

from precisionflow.config.ablation import VARIED
from precisionflow.config.analyses import Performance
from precisionflow.config.base import nearest
from precisionflow.config.engine import DeepSpeedEngine, TorchEngine

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment


def analysis_lays_out_the_variants(experiment: "Experiment") -> None:
    if experiment.analysis is None or isinstance(experiment.analysis, Performance):
        return
    if experiment.ablation.axes:
        raise ValueError(
            "ablation.axes: an analysis lays out the variants itself; leave the axes out, or give analysis.parameters"
        )
    if experiment.ablation.looks:
        raise ValueError(
            "ablation.looks: decide contrasts, of which an analysis makes none; leave the looks out"
        )


def steps_are_timed(experiment: "Experiment") -> None:
    profile = experiment.training.profile
    if isinstance(experiment.analysis, Performance) and profile is None:
        raise ValueError(
            "analysis: performance tells what training.profile times, which is not given; give it, such as 10"
        )
    if profile is not None and not isinstance(experiment.engine, TorchEngine | DeepSpeedEngine):
        raise ValueError(
            f"training.profile: engine.kind {experiment.engine.kind} is not timed part by part; use engine.kind torch"
        )


def analysis_varies_parts(experiment: "Experiment") -> None:
    if experiment.analysis is None:
        return
    owners = {dotted: name for name, overlay in experiment.ablation.datasets.items() for dotted in overlay}
    for dotted in experiment.analysis.keys:
        part = dotted.split(".")[0]
        if part not in VARIED or dotted == "task.kind":
            allowed = f"allowed: keys of {', '.join(VARIED)}{nearest(part, VARIED)}"
            raise ValueError(f"analysis: {dotted!r} cannot differ between runs; {allowed}")
        for other, name in owners.items():
            if f"{dotted}.".startswith(f"{other}.") or f"{other}.".startswith(f"{dotted}."):
                raise ValueError(
                    f"analysis: sets {dotted!r}, and so does ablation.datasets.{name}; keep one of them"
                )
