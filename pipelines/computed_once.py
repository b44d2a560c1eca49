"""What every task would compute of the code alone: the server imports this, and the tasks that it forks have it."""

from precisionflow.config import Experiment
from precisionflow.results.code import STAGES, code_digest

Experiment.model_rebuild()
for _verb in STAGES:
    code_digest(_verb)
