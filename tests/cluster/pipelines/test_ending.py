"""Whether a run was told to stop, read from its Argo workflow."""

from precisionflow.cluster.pipelines.ending import told_to_stop
from tests.invented_workflow import workflow


def test_a_workflow_that_was_told_to_stop() -> None:
    assert told_to_stop(workflow(activeDeadlineSeconds=0))
    assert told_to_stop(workflow(shutdown="Terminate"))
    assert not told_to_stop(workflow(activeDeadlineSeconds=60))
    assert not told_to_stop(workflow())
