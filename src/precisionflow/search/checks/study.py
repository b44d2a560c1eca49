"""Every check of a study, in the order of what is told first."""

from precisionflow.search.checks.algorithm import check_algorithm, check_algorithm_fits, check_stopping
from precisionflow.search.checks.fields import check_fields
from precisionflow.search.checks.names import check_counts, check_names
from precisionflow.search.checks.objective import check_objective
from precisionflow.search.checks.space import check_space
from precisionflow.search.checks.template import check_placeholders, check_template
from precisionflow.search.study import Study


def check_study(study: Study) -> None:
    """ConfigError with one line for the first thing that Katib would refuse, or that no trial could use."""
    spec = study.spec
    check_names(study)
    check_counts(spec)
    check_objective(spec)
    check_algorithm(spec.algorithm)
    if spec.stopping:
        check_stopping(spec.stopping)
    for index, parameter in enumerate(spec.parameters):
        check_space(parameter, f"spec.parameters.{index}.feasibleSpace")
    check_algorithm_fits(spec)
    check_template(spec.template)
    check_placeholders(spec)
    check_fields(study)
