"""The catalogue of metrics: title, unit, which direction is better."""

from dataclasses import dataclass, replace
from typing import Literal

from precisionflow.config.base import nearest
from precisionflow.config.evaluation import RECALIBRATIONS


@dataclass(frozen=True)
class Metric:
    """One measured quantity: its name in files, how it reads, which direction is better."""

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher", "nominal"]
    nominal: float | None = None
    """The value of a calibrated model, where `better` is nominal."""


def metric_named(name: str) -> Metric:
    """The catalogue's entry of a metric; coverage_, width_, interval_score_NN for every level in per cent.

    <metric>_after_<method> is the same of recalibrated predictions.
    """
    before, after, method = name.partition("_after_")
    if after:
        plain = metric_named(before)
        if method not in RECALIBRATIONS:
            raise ValueError(
                f"unknown metric {name!r}: no recalibration method is called {method!r}; "
                f"allowed: {', '.join(RECALIBRATIONS)}{nearest(method, RECALIBRATIONS)}"
            )
        return replace(plain, name=name, title=f"{plain.title} after {method.replace('_', ' ')}")
    for prefix, title, better in (
        ("coverage_", "coverage of the {} % interval", "nominal"),
        ("set_coverage_", "coverage of the {} % prediction set", "nominal"),
        ("set_size_", "classes in the {} % prediction set", "lower"),
        ("width_", "width of the {} % interval", "lower"),
        ("interval_score_", "interval score of the {} % interval", "lower"),
    ):
        level = name.removeprefix(prefix)
        if name.startswith(prefix) and level.replace(".", "", 1).isdigit():
            nominal = float(level) / 100 if better == "nominal" else None
            unit = "classes" if prefix == "set_size_" else "1" if nominal else "target"
            return Metric(name, title.format(level), unit, better, nominal)  # type: ignore[arg-type]
    try:
        return _CATALOGUE[name]
    except KeyError:
        raise ValueError(
            f"unknown metric {name!r}; allowed: {', '.join(_CATALOGUE)}, "
            "coverage_<per cent>, width_<per cent>, interval_score_<per cent>"
        ) from None


_CATALOGUE = {
    m.name: m
    for m in (
        Metric("nll", "negative log-likelihood", "nats", "lower"),
        Metric("crps", "continuous ranked probability score", "target", "lower"),
        Metric("rmse", "root mean squared error", "target", "lower"),
        Metric("pit_error", "PIT distance from uniform (Cramér-von Mises)", "1", "lower"),
        Metric("rmsce_intervals", "root mean squared calibration error of central intervals", "1", "lower"),
        Metric("rmsce_quantiles", "root mean squared calibration error of quantiles", "1", "lower"),
        Metric("ence", "expected normalised calibration error of the std", "1", "lower"),
        Metric("ause", "area under the sparsification error", "1", "lower"),
        Metric("sharpness", "mean predicted std", "target", "lower"),
        Metric("perplexity", "perplexity of a token", "choices", "lower"),
        Metric("bits_per_character", "bits per character", "bits", "lower"),
        Metric("bits_per_byte", "bits per byte", "bits", "lower"),
        Metric("ece", "expected calibration error", "1", "lower"),
        Metric("ece_equal_mass", "expected calibration error, bins of equal mass", "1", "lower"),
        Metric("mce", "maximum calibration error", "1", "lower"),
        Metric("class_wise_ece", "class-wise expected calibration error", "1", "lower"),
        Metric("brier", "Brier score", "1", "lower"),
        Metric("brier_reliability", "reliability part of the Brier score", "1", "lower"),
        Metric("brier_resolution", "resolution part of the Brier score", "1", "higher"),
        Metric("brier_uncertainty", "uncertainty part of the Brier score", "1", "lower"),
        Metric("aurc", "area under the risk-coverage curve", "1", "lower"),
        Metric("accuracy", "accuracy", "1", "higher"),
        Metric("excess_nll", "negative log-likelihood above the optimum", "nats", "lower"),
        Metric("excess_mse", "mean squared error above the optimum", "target²", "lower"),
        Metric("excess_error", "error rate above the optimum", "1", "lower"),
        Metric("sequence_accuracy", "share of sequences without an error", "1", "higher"),
        Metric("attention_on_cause", "attention to the token that tells the target", "1", "higher"),
        Metric("attended_keys", "keys that count in what a target gets (exp entropy)", "1", "lower"),
        Metric("attention_on_near_cause", "attention to the last node before the question", "1", "higher"),
        Metric("attention_on_far_cause", "attention to the node before that", "1", "higher"),
        Metric("keys_visited", "keys that a query looks at", "1", "lower"),
        Metric("predictive_entropy", "entropy of the stated probabilities", "nats", "lower"),
        Metric("mutual_information", "epistemic part of the entropy", "nats", "lower"),
        *(
            metric
            for score in ("confidence", "entropy", "energy", "mutual_information")
            for metric in (
                Metric(f"ood_auroc_{score}", f"unknown classes told by {score}: AUROC", "1", "higher"),
                Metric(f"ood_fpr95_{score}", f"unknown classes that pass by {score}: FPR95", "1", "lower"),
            )
        ),
        Metric("free_energy", "free energy of an image over its pixels", "nats", "lower"),
        Metric("reconstruction_error", "mean squared error of images from the highest state", "1", "lower"),
        Metric("reconstruction_error_pca", "the same by as many principal components", "1", "lower"),
        Metric("completion_error", "mean squared error of a missing lower half", "1", "lower"),
        Metric("completion_error_pca", "the same by probabilistic principal components", "1", "lower"),
        Metric("ood_auroc_shuffled", "images with shuffled pixels told by free energy: AUROC", "1", "higher"),
        Metric("adjusted_rand_index", "adjusted Rand index of objects' pixels", "1", "higher"),
        Metric("tokens", "tokens of an image", "tokens", "lower"),
        Metric("tokens_of_figure", "tokens of the patch that is asked for", "tokens", "higher"),
        Metric("padding", "places computed without a token, for each token", "1", "lower"),
        Metric(
            "net_utility", "nats that a frame's tokens tell, less what changing them costs", "nats", "higher"
        ),
        Metric("utility", "nats that the tokens of a frame or of a row's stages tell", "nats", "higher"),
        Metric("change_cost", "nats that changing a frame's tokens costs", "nats", "lower"),
        Metric("precision_error", "root mean square error of ln precision of a row's stages", "1", "lower"),
        Metric("elbo", "lower bound of ln p of a row's readings", "nats", "higher"),
        Metric(
            "log2_capacity", "log2 of the patterns, at most all, of which half are found", "bits", "higher"
        ),
        Metric("retrieved", "share of queries that end at their pattern", "1", "higher"),
        Metric("state_error", "distance of a state at rest from its pattern", "1", "lower"),
        Metric("patterns_at_rest", "patterns that a state at rest is a mean of (exp entropy)", "1", "lower"),
        Metric("steps_to_rest", "steps until a query stands", "1", "lower"),
        Metric("error_over_bound", "largest error of a step over its exponential bound", "1", "lower"),
        Metric("retrieval_proven", "share of queries that the bound proves to be retrieved", "1", "higher"),
        Metric("reward", "reward of an episode", "reward", "higher"),
        Metric("success", "share of episodes that succeed", "1", "higher"),
        Metric("information", "information gained about the state in an episode", "nats", "higher"),
        Metric("episode_steps", "actions of an episode", "1", "lower"),
        Metric("surprise", "surprise at an observation", "nats", "lower"),
        Metric("state_nll", "negative log belief in the true state", "nats", "lower"),
        Metric("samples_per_second", "rows or sequences trained in a second", "1/s", "higher"),
        Metric("seconds_per_step", "time of a training step", "s", "lower"),
        Metric("validation_loss", "validation loss of the kept weights", "nats", "lower"),
    )
}
