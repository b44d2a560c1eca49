"""The page: complete, self-contained, accessible, escaped, the same bytes again."""

import base64
import hashlib
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from precisionflow.config import to_yaml
from precisionflow.records.files import write_card
from precisionflow.records.marker import MARKER, read_marker
from precisionflow.report.page import phrases, report
from precisionflow.results.stage import finished_key
from tests.report.conftest import Results, results_of
from tests.synthetic import language, regression

VOID = {"meta", "wbr", "path", "use", "br", "rect", "line"}


class Page(HTMLParser):
    """Tags with their attributes, headings, text; checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append((self.open[-1], data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def headings(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(text for _, text in self.texts))


def written(results: Results, out: Path) -> str:
    report(
        results.experiments,
        models=results.models,
        evaluations=results.evaluations,
        aggregate=results.aggregate,
        out=out,
    )
    return (out / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(results: Results, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(results, tmp_path_factory.mktemp("page") / "report")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_experiment_has_every_section(page: Page) -> None:
    assert page.headings("h2")[:2] == ["noise", "twins"]
    sections = [
        "Answer",
        "Scores",
        "Contrasts",
        "Calibration",
        "Learning curves",
        "Training cost",
        "Effects by cost",
        "Provenance",
    ]
    numbers = [*sections[:4], "Where it holds", *sections[4:]]
    assert page.headings("h3") == numbers + sections
    assert page.open == []


def test_headlines_are_sentences_with_effect_interval_units_and_verdict(page: Page) -> None:
    assert "heteroscedastic vs homoscedastic" in page.text
    assert re.search(r"nll −0\.0\d+ \[−0\.0\d+, −0\.0\d+\], n = 7 splits: better", page.text)
    assert "precision vs dot_product (learning=backprop)" in page.text
    assert re.search(r"nll −0\.0\d+ \[−0\.\d+, [−0-9.]+\], n = 3 seeds: too few seeds: 3 of 8", page.text)
    assert "12 contrasts: 12 undecidable (too few seeds: 3 of 8)." in page.text


def test_best_is_marked_only_where_it_is_shown(html: str) -> None:
    regression_part, language_part = html.split('<article id="x1"')
    assert regression_part.count('<span class="mark best">') == 3
    assert '<span class="mark best">' not in language_part


def test_twin_ratios_are_measured_and_judged(page: Page) -> None:
    assert page.text.count("Predictive coding over its backprop twin") == 1
    assert re.search(r"attention=dot_product 1\.00\d\d holds 2\.50 holds", page.text)


def test_figures_of_each_kind_of_task(page: Page) -> None:
    labels = [a["aria-label"] for a in page.of("svg") if a.get("role") == "img"]

    def count(start: str) -> int:
        return sum(label.startswith(start) for label in labels)

    assert count("Contrasts in ") == 6
    assert count("Reliability: ") == 1
    assert count("Histogram of the probability integral transform") == 2
    assert count("Accuracy against confidence") == 4
    assert (count("train_loss"), count("validation_loss"), count("energy")) == (2, 2, 1)


def test_energy_is_drawn_for_predictive_coding_only(page: Page) -> None:
    (label,) = [a["aria-label"] for a in page.of("svg") if (a.get("aria-label") or "").startswith("energy")]
    assert "predictive_coding+precision" in label
    assert "backprop" not in label


def test_provenance(page: Page, results: Results) -> None:
    for experiment in results.experiments:
        assert experiment.hash in page.text
        assert re.sub(r"\s+", " ", to_yaml(experiment)).strip() in page.text
    assert "numpy 2." in page.text
    assert finished_key(results.aggregate) not in (None, "")


def test_nothing_comes_from_outside(html: str, page: Page) -> None:
    assert "http" not in html.replace("http-equiv", "")
    assert page.of("script") == [{}]
    assert not page.of("link") + page.of("img") + page.of("iframe")
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\((.)", html))


def test_only_the_script_of_the_page_may_run(html: str, page: Page) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [
        a["content"] or "" for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"


def test_every_reference_has_one_target(html: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {a["href"][1:] for _, a in page.tags if a.get("href")} | set(
        re.findall(r"url\(#([^)]+)\)", html)
    )
    assert wanted <= set(ids)


def test_accessible(page: Page) -> None:
    assert page.of("html") == [{"lang": "en"}]
    assert page.of("meta")[1] == {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in page.of("svg"))
    assert len(page.of("figure")) == len(page.of("figcaption")) > 0
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in page.of("th"))
    assert len(page.of("caption")) >= 8
    assert len(page.of("h1")) == len(page.of("main")) == 1


def test_both_colour_schemes_define_every_variable(html: str) -> None:
    light, dark = html.split("prefers-color-scheme: dark")
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    assert {"--ink", "--series-0", "--band"} <= used
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_no_drawing_colour_is_left_unreplaced(html: str) -> None:
    assert "#fe0" not in html
    assert not re.findall(r"(?:fill|stroke): #(?!000000)[0-9a-f]{6}", html.split("</style>")[1])


def test_a_line_breaks_before_an_interval_and_not_inside_it(html: str) -> None:
    """So that a table is as narrow as its longest number before a column hides behind the edge."""
    assert phrases("2.06 ± 0.04") == "2.06 ±\xa00.04"
    assert phrases("−0.04 [−0.05, −0.03]") == "−0.04 [−0.05,\xa0−0.03]"
    assert re.search(r"<td>2\.\d+ ±\xa00\.\d+</td>", html)
    assert not re.search(r"<td>[^<]*± ", html)
    assert not re.search(r"\btd\b[^{}]*\{[^}]*nowrap", html.split("</style>")[0])


def test_small_enough_for_the_kubeflow_page(html: str) -> None:
    assert len(html.encode()) < 1_000_000


def test_text_of_the_user_is_escaped(html: str, page: Page) -> None:
    assert "match &lt;script&gt;alert(&#34;backprop&#34;)&lt;/script&gt; &amp; co.?" in html
    assert html.count("<script") == 1
    assert 'Does predictive coding match <script>alert("backprop")</script> & co.?' in page.headings("p")


def test_same_bytes_whatever_the_order_and_the_place(results: Results, html: str, tmp_path: Path) -> None:
    moved = replace(
        results,
        experiments=results.experiments[::-1],
        models=results.models[::-1],
        evaluations=[
            shutil.copytree(folder, tmp_path / str(index))
            for index, folder in enumerate(reversed(results.evaluations))
        ],
    )
    assert written(moved, tmp_path / "report") == html


def test_a_second_run_does_nothing(results: Results, tmp_path: Path) -> None:
    written(results, tmp_path / "report")
    before = (tmp_path / "report/report.html").stat().st_mtime_ns
    written(results, tmp_path / "report")
    assert (tmp_path / "report/report.html").stat().st_mtime_ns == before


def test_results_of_other_code_are_told(results: Results, html: str, tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(folder, tmp_path / str(i))) for i, folder in enumerate(results.models)]
    cell = next(copies[0].glob("seed-*"))
    marker = read_marker(cell)
    assert marker is not None
    write_card(marker.model_copy(update={"code": "0ld", "trusted": "1st"}), cell / MARKER)
    told = Page(written(replace(results, models=copies), tmp_path / "report")).text
    assert "kept by --trust-codetrain: 1 of code 0ld, kept under code 1st" in told
    assert "--trust-code" not in html


def test_a_missing_model_is_named(results: Results, tmp_path: Path) -> None:
    copies = [shutil.copytree(folder, tmp_path / str(index)) for index, folder in enumerate(results.models)]
    shutil.rmtree(copies[0] / "seed-2-split-0")
    with pytest.raises(ValueError, match=r"no folder of experiment 'twins', .* seed 2, split 0"):
        written(replace(results, models=copies), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_single_variant_with_one_seed_has_a_page(tmp_path: Path) -> None:
    content = language().model_dump(mode="json") | {"ablation": {}, "seeds": [0], "question": ""}
    bare = language().model_validate(content)
    page = Page(written(results_of([bare], tmp_path), tmp_path / "report"))
    assert page.headings("h3") == [
        "Answer",
        "Scores",
        "Calibration",
        "Learning curves",
        "Training cost",
        "Provenance",
    ]
    assert "No axis is varied, so nothing is contrasted." in page.text
    assert re.search(r"default: nll 2\.\d+, ece 0\.03\d+, brier 0\.70\d*", page.text)


def test_one_seed_with_contrasts_has_a_page(tmp_path: Path) -> None:
    page = Page(written(results_of([language(("[0, 1, 2]", "[0]"))], tmp_path), tmp_path / "report"))
    assert re.search(r"nll [+−]0\.\d+, n = 1 seed: too few seeds: 1 of 8", page.text)


def test_several_datasets_are_told_apart(tmp_path: Path) -> None:
    datasets = "  datasets:\n    d: {task.source.name: diabetes}\n    l: {task.source.name: linnerud}\n"
    experiment = regression(
        ("ablation:\n", f"ablation:\n{datasets}"), ("splits: [0, 1, 2, 3, 4, 5, 6]", "splits: [0, 1]")
    )
    page = Page(written(results_of([experiment], tmp_path), tmp_path / "report"))
    assert "datasets diabetes, linnerud" in page.text
    assert page.headings("caption")[:2] == ["Scores on diabetes", "Scores on linnerud"]
    tallies = [text for tag, text in page.texts if tag in ("p", "summary") and " contrasts: " in text]
    assert len(tallies) == 3, "of both and of each"
    assert len(page.of("summary")) >= 2
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_gate_says_what_it_judged(tmp_path: Path) -> None:
    gated = regression(("ablation:", "gate: {nll: {high: 2.095}}\nablation:"))
    shown = Page(written(results_of([gated], tmp_path), tmp_path / "report"))
    assert "Gate" in shown.headings("h3")
    (missed,) = re.findall(r"missed on test rows: nll 2.09853 is above 2.095", shown.text)
    (passed,) = re.findall(r"passed on test rows: nll 2.06037 is at most 2.095", shown.text)
    assert shown.text.index(missed) < shown.text.index(passed)


def test_without_a_gate_there_is_no_word_of_it(page: Page) -> None:
    assert "Gate" not in page.headings("h3")
