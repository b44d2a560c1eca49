"""A pod's log without what KFP and Argo print into it."""

from precisionflow.cluster.pipelines.pods import task_lines


def test_a_log_without_what_surrounds_the_task() -> None:
    log = """time="2026-11-23T05:34:51.762Z" level=info msg="capturing logs" argo=true
I1123 05:34:51.880670      15 main.go:61] Setting log level to: '1'
[KFP Executor 2026-11-23 05:34:52,228 INFO]: Got executor_input:
{
    "inputs": {"text": "precisionflow: error: not said by us"}
}
precisionflow: train a: step 1
Traceback: mine
I1123 05:34:58.091375      15 launcher_v2.go:877] ExecutorOutput: {
  "artifacts": {}
}
"""
    assert task_lines(log) == ["precisionflow: train a: step 1", "Traceback: mine"]
