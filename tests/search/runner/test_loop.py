"""Listener: the reports of one trial, and its early stopping."""

from precisionflow.search.algorithms.medianstop import medianstop
from precisionflow.search.runner.loop import Listener
from tests.search.studies import algorithm, study


def test_a_listener_collects_the_reports_of_the_collected_metrics(tmp_path):
    objective = study(tmp_path).spec.objective
    listener = Listener(objective, stopping=None, threshold=None, stop=lambda: None)
    for line in ("step=0 loss=2.0 width=7", "nothing", "loss=nan step=1"):
        listener.read(line)
    assert listener.reports == [("step", 0.0), ("loss", 2.0), ("step", 1.0)]
    assert listener.measured == [2.0]


def test_what_is_printed_after_the_stop_does_not_count(tmp_path):
    stops = []
    rule = medianstop(algorithm("medianstop", start_step="2"), "minimize")
    listener = Listener(
        study(tmp_path).spec.objective, stopping=rule, threshold=1.0, stop=lambda: stops.append(True)
    )
    for line in ("loss=3.0", "step=1", "loss=2.0", "loss=0.0"):
        listener.read(line)
    assert listener.stopped
    assert stops == [True]
    assert listener.measured == [3.0, 2.0]
