"""Checks of what fits with what, across the parts of an experiment; the classes declare, these files compare."""

from typing import TYPE_CHECKING

from precisionflow.config.compatibility import analyses, networks, posteriors, results, training

if TYPE_CHECKING:
    from precisionflow.config.experiment import Experiment

CHECKS = (
    networks.task_is_learnable,
    networks.transformer_has_a_sequence,
    networks.attention_sees_no_target,
    networks.every_query_has_a_key,
    networks.parts_of_attention_fit,
    networks.policies_can_be_enumerated,
    networks.filter_knows_its_target,
    networks.budget_can_be_kept,
    training.ranks_share_alike,
    training.engine_trains_it,
    training.layers_can_lie_apart,
    training.states_have_what_is_precise,
    training.norms_stand_off_zero,
    training.images_settle,
    training.layers_are_there,
    training.engine_runs_the_optimiser,
    networks.readout_can_be_tied,
    networks.clusters_fit_tokens_and_readout,
    posteriors.closed_form_is_left_alone,
    posteriors.models_from_outside_are_judged_plainly,
    posteriors.posterior_fits_the_objective,
    posteriors.spread_is_of_a_number,
    posteriors.dropout_can_be_sampled,
    posteriors.transformers_vote_on_classes,
    posteriors.members_share_rows,
    posteriors.rows_can_be_weighed,
    results.names_differ,
    results.recalibration_fits_the_task,
    results.held_out_rows_are_never_tested,
    results.attention_can_be_inspected,
    results.data_can_be_cut,
    results.metrics_are_measured,
    results.margins_mean_something,
    results.looks_count_seeds,
    results.gate_can_be_passed_and_missed,
    analyses.analysis_lays_out_the_variants,
    analyses.analysis_varies_parts,
    analyses.steps_are_timed,
)
"""In their order: each raises ValueError for a part that does not fit the others, and says what would."""


def check(experiment: "Experiment") -> None:
    """ValueError with the first part that does not fit the others, and what would."""
    for fits in CHECKS:
        fits(experiment)
