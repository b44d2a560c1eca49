import re
from math import nan

import pytest

from precisionflow.records.search import Search, Trial
from precisionflow.report.search.landscape import contours, front, has_contours
from precisionflow.report.search.page import importance, write_search_page

SETTINGS = ("model.rate=0.4", "model.kind=<a>")


def trial(number, value, parameters, **rest):
    given = {
        "name": f"a-{number}",
        "number": number,
        "end": number,
        "state": "succeeded",
        "value": value,
        "seconds": 1.5,
        "parameters": parameters,
        "settings": SETTINGS,
    }
    return Trial(**given | rest)


def trials(count):
    """The objective is that of `rate` alone; `noise` has nothing to do with it."""
    places = [(0.1 + 0.9 * ((7 * n) % count) / count, (5 * n) % 3) for n in range(count)]
    return [
        trial(n, (rate - 0.4) ** 2, {"rate": rate, "noise": noise, "kind": "ab"[n % 2]}, end=count - n)
        for n, (rate, noise) in enumerate(places)
    ]


def searched(found, **changes):
    given = {
        "name": "a <b> search",
        "key": "key",
        "metric": "nll",
        "better": "minimize",
        "algorithm": "tpe",
        "parameters": ("rate", "noise", "kind"),
        "logarithmic": frozenset({"rate"}),
        "trials": tuple(found),
    }
    return Search(**given | changes)


def test_the_page_holds_every_trial_and_its_figures(tmp_path):
    failed = {"state": "failed", "seconds": 0.5, "cause": "exit code 1: <no>"}
    found = [*trials(9), trial(9, nan, {"rate": 1.0, "noise": 1, "kind": "a"}, end=10, **failed)]
    write_search_page(searched(found), tmp_path / "search.html")
    page = (tmp_path / "search.html").read_text()
    assert page.split("<h3>Trials</h3>")[1].count("<tr>") == 1 + 10
    labels = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert [label.split()[0] for label in labels[:3]] == ["nll", "Parallel", "Importance:"]
    assert set(labels[3:6]) == {f"nll of every trial over {name}" for name in ("rate", "noise", "kind")}
    assert labels[6].startswith("Contours of nll over ")
    assert labels[7].startswith("nll over seconds of every trial. Pareto front, by trial: ")
    assert "exit code 1: &lt;no&gt;" in page
    assert "--set model.kind=&lt;a&gt;" in page
    assert "<b>" not in page
    assert "From 9 trials: a hint, no measurement" in page
    assert "10 trials: 9 succeeded, 1 failed" in page
    assert "http" not in page.replace("Content-Security-Policy", "").replace("http-equiv", "")
    assert page.count("<script") == 1


@pytest.mark.parametrize(("better", "number"), [("minimize", "7"), ("maximize", "2")])
def test_the_best_trial_is_marked(tmp_path, better, number):
    values = [3.0, 5.0, 9.0, 4.0, 3.0, 8.0, 4.0, 1.0]
    found = [trial(n, value, {"rate": n + 1.0}) for n, value in enumerate(values)]
    write_search_page(searched(found, better=better, parameters=("rate",)), tmp_path / "search.html")
    rows = (tmp_path / "search.html").read_text().split("<tr>")[2:]
    assert [row.split(">")[1].split("<")[0] for row in rows if "mark best" in row] == [number]


def test_importance_names_what_mattered():
    shares = importance(trials(40), logarithmic={"rate"})
    assert set(shares) == {"rate", "noise", "kind"}
    assert shares["rate"] > 0.8


def test_what_parameters_do_together_is_no_share_of_one_alone():
    """The objective is a product of two: neither alone explains a thing, nor does a third."""
    places = [(a / 7 - 0.5, b / 7 - 0.5, (a + 3 * b) % 5) for a in range(8) for b in range(8)]
    found = [trial(n, a * b, {"a": a, "b": b, "c": c}) for n, (a, b, c) in enumerate(places)]
    assert sum(importance(found, logarithmic=()).values()) < 0.3


@pytest.mark.parametrize("found", [trials(3), [trial(n, 1.0, {"rate": float(n)}) for n in range(9)], []])
def test_there_is_no_importance_of_too_little(found):
    assert importance(found, logarithmic=()) == {}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_importance_is_over_the_decades_of_what_was_drawn_by_them(scale):
    """The lower two of four decades are worse: half of what is drawn; even in the numbers, 1 in 100."""
    places = [((n % 20) / 19, ((7 * n) % 20) / 19) for n in range(60)]
    found = [
        trial(n, scale * ((a < 0.5) + 0.5 * b), {"rate": 10 ** (-5 + 4 * a), "width": b})
        for n, (a, b) in enumerate(places)
    ]
    shares = importance(found, logarithmic={"rate"})
    assert shares["rate"] == pytest.approx(0.25 / (0.25 + 0.25 / 12), abs=0.05)
    assert importance(found, logarithmic=())["rate"] < 0.5


def test_a_search_of_one_trial_has_a_page(tmp_path):
    write_search_page(searched(trials(1)), tmp_path / "search.html")
    assert "Importance" not in (tmp_path / "search.html").read_text()


def costly(*pairs):
    return [trial(n, value, {}, seconds=seconds) for n, (seconds, value) in enumerate(pairs)]


def test_the_front_is_what_no_trial_beats_in_both():
    found = costly((1.0, 5.0), (2.0, 6.0), (2.0, 4.0), (3.0, 4.0), (5.0, 1.0), (4.0, 2.0))
    assert [t.number for t in front(found, maximize=False)] == [0, 2, 5, 4]
    assert [t.number for t in front(found, maximize=True)] == [0, 1]
    for t in found:
        beaten = any(o.seconds <= t.seconds and o.value < t.value for o in found)
        assert beaten or t in front(found, maximize=False) or t.number == 3


def test_contours_need_trials_off_a_line():
    assert has_contours(trials(9), ["rate", "noise"], logarithmic=())
    assert not has_contours(trials(9), ["rate", "kind"], logarithmic={"rate"})
    assert not has_contours(trials(7), ["rate", "noise"], logarithmic=())
    assert not has_contours(trials(9), ["rate"], logarithmic=())
    line = [trial(n, n * 1.0, {"rate": n + 1.0, "noise": 2.0 * n}) for n in range(12)]
    assert not has_contours(line, ["rate", "noise"], logarithmic=())


def test_a_line_of_logarithms_has_no_contours(tmp_path):
    found = [trial(n, n * 1.0, {"rate": 10.0**n, "width": 10.0 ** (3 - n)}) for n in range(12)]
    logarithmic = frozenset({"rate", "width"})
    assert has_contours(found, ["rate", "width"], logarithmic=())
    assert not has_contours(found, ["rate", "width"], logarithmic=logarithmic)
    search = searched(found, parameters=("rate", "width"), logarithmic=logarithmic)
    write_search_page(search, tmp_path / "search.html")
    assert "Contours" not in (tmp_path / "search.html").read_text()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_contours_are_drawn_at_every_scale(scale):
    found = [trial(n, scale * t.value, t.parameters) for n, t in enumerate(trials(20))]
    given = {"logarithmic": frozenset({"rate"}), "metric": "nll", "name": "c"}
    svg = contours(found, ["rate", "noise"], maximize=False, **given).svg
    assert "log₁₀ rate" in svg
