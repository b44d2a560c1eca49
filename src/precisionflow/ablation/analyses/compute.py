"""Compute of a training by the predicted law: floating-point operations and tokens of an optimiser step."""

from precisionflow.config import Experiment
from precisionflow.config.networks import Transformer
from precisionflow.config.tasks import NextToken


def tokens_of_step(experiment: Experiment, *, batch_size: int) -> int:
    """Targets of a step: tokens of running text, else rows or sequences."""
    task = experiment.task
    return batch_size * (task.context if isinstance(task, NextToken) else 1)


def flops_of_step(experiment: Experiment, *, parameters: int, batch_size: int) -> float:
    """6 parameters a token, and of a transformer on running text 12 blocks * width * context more.

    A multiplication and an addition for each parameter and each pair of tokens and channels, in scores and in their
    mixture; the backward pass twice the forward one (Kaplan et al. 2020; Chowdhery et al. 2022, appendix B). Tables
    that are looked up count like matrices, iterations of settling once.
    """
    tokens, model, task = tokens_of_step(experiment, batch_size=batch_size), experiment.model, experiment.task
    attention = 0
    if isinstance(model, Transformer) and isinstance(task, NextToken):
        attention = 12 * model.blocks * model.width * task.context
    return float(tokens * (6 * parameters + attention))
