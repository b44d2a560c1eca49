"""The page in a browser: as wide as a telephone and as a screen, with labels that touch nothing, tables that sort."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from precisionflow.report.search.page import write_search_page
from tests import browser
from tests.browser import Page
from tests.report.gallery import study, write_gallery, write_report
from tests.report.search.test_page import searched, trial
from tests.synthetic import language

pytestmark = pytest.mark.skipif(
    browser.installed() is None, reason=f"none of {', '.join(browser.PROGRAMS)} is installed"
)
NARROW, WIDE = 380, 1400
PAPER = 718
"""CSS pixels between the margins of a page of A4."""
READABLE = 4.5
"""Contrast of a text to what is behind it, at least (WCAG 2.2, 1.4.3)."""
PAGES = ("report", "gallery", "search")
OVERFLOWS = """(() => {
  const wide = document.documentElement.clientWidth
  return [...document.querySelectorAll("body *")].filter((of) => {
    const inside = of.parentElement.closest(".scroll, pre"), box = of.getBoundingClientRect()
    return !inside && box.width && (box.right > wide + 0.5 || box.left < -0.5)
  }).map((of) => `${of.tagName} of ${wide}: ${of.textContent.slice(0, 60)}`)
})()"""
"""Elements that reach beyond the window, but for those in what is scrolled by itself."""
CUT = """(() => {
  const wide = document.documentElement.clientWidth
  return [...document.querySelectorAll("body *")].filter((of) => {
    const box = of.getBoundingClientRect()
    return box.width && (box.right > wide + 0.5 || box.left < -0.5)
  }).map((of) => `${of.tagName} of ${wide}: ${of.textContent.slice(0, 60)}`)
})()"""
"""Elements that reach beyond the paper, where nothing can be scrolled."""
FAINT = """(() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number)
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (of) => {
    for (let up = of; up; up = up.parentElement) {
      const colour = parts(getComputedStyle(up).backgroundColor)
      if (colour.length === 3 || colour[3] === 1) return colour
    }
    return [255, 255, 255]
  }
  const found = new Set()
  for (const of of document.querySelectorAll("body *")) {
    if (![...of.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue
    if (["SCRIPT", "STYLE"].includes(of.nodeName)) continue
    const style = getComputedStyle(of)
    const [a, b] = [light(parts(of.closest("svg") ? style.fill : style.color)), light(behind(of))].sort((x, y) => y - x)
    const ratio = (a + 0.05) / (b + 0.05)
    if (ratio < LEAST) found.add(`${of.nodeName} ${ratio.toFixed(2)}: ${of.textContent.trim().slice(0, 40)}`)
  }
  return [...found]
})()""".replace("LEAST", str(READABLE))
"""Texts that stand out too little from what is behind them."""
TOUCHING = """(() => {
  const found = []
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const frame = svg.getBoundingClientRect(), pixel = frame.width / svg.viewBox.baseVal.width
    const name = svg.getAttribute("aria-label").slice(0, 60)
    const texts = [...svg.querySelectorAll("text")].filter((of) => of.textContent.trim())
    const boxes = texts.map((of) => [of.textContent.trim(), of.getBoundingClientRect()])
    boxes.forEach(([text, box], place) => {
      const across = Math.max(frame.left - box.left, box.right - frame.right)
      const down = Math.max(frame.top - box.top, box.bottom - frame.bottom)
      if (across > 1 || down > 2) found.push(`${name}: ${text} is cut`)
      for (const [other, its] of boxes.slice(0, place)) {
        const across = Math.min(box.right, its.right) - Math.max(box.left, its.left)
        const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top)
        if (across > 1 && down > 3 * pixel) found.push(`${name}: ${text} lies on ${other}`)
      }
    })
  }
  return found
})()"""
"""Labels of figures that are cut, or lie on each other by more than the blank that a line of text has above it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of long names, figures of every kind and a search."""
    folder = tmp_path_factory.mktemp("pages")
    names = ("training.optimiser.learning_rate", "model.attention.heads", "objective.kind")
    places = [(0.1 + 0.9 * ((7 * n) % 12) / 12, (5 * n) % 3, "ab"[n % 2] * 12) for n in range(12)]
    found = [
        trial(n, (place[0] - 0.4) ** 2, dict(zip(names, place, strict=True)), end=12 - n)
        for n, place in enumerate(places)
    ]
    of = searched(found, parameters=names, logarithmic=frozenset(names[:1]))
    write_search_page(of, folder / "search.html")
    write_gallery(folder / "gallery.html")
    write_report([study(), language()], folder).rename(folder / "report.html")
    return folder


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = browser.installed()
    assert program is not None
    with tempfile.TemporaryDirectory() as profile, browser.opened(program, Path(profile)) as page:
        yield page


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_window_and_labels_touch_nothing(
    name: str, width: int, folder: Path, page: Page
) -> None:
    page.show(folder / f"{name}.html", width=width)
    assert page.value("document.querySelectorAll('svg[role=img] text').length") > 100
    assert page.value(OVERFLOWS) == []
    assert page.value(TOUCHING) == []


def test_faults_of_labels_are_seen(folder: Path, page: Page) -> None:
    page.show(folder / "gallery.html", width=NARROW)
    page.value("document.querySelectorAll('svg[role=img] text').forEach((of) => of.style.fontSize = '40px')")
    found = " ".join(page.value(TOUCHING))
    assert "is cut" in found
    assert "lies on" in found
    page.value("document.querySelector('figcaption').style.minWidth = '400px'")
    assert page.value(OVERFLOWS)


def test_a_dark_window_gets_a_dark_page_whose_words_and_lines_stand_out(folder: Path, page: Page) -> None:
    def brightness(*, dark: bool) -> list[float]:
        page.show(folder / "report.html", width=WIDE, dark=dark)
        colours = page.value(
            "['background-color body', 'color body', 'color figcaption', 'fill svg[role=img] text']"
            ".map((of) => of.split(/ (.*)/)).map(([name, of]) => "
            "getComputedStyle(document.querySelector(of)).getPropertyValue(name))"
        )
        return [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours]

    ground, *words = brightness(dark=False)
    assert ground > 240
    assert max(words) < 120
    ground, *words = brightness(dark=True)
    assert ground < 40
    assert min(words) > 150


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_stands_out_from_what_is_behind_it(
    name: str, dark: bool, folder: Path, page: Page
) -> None:
    page.show(folder / f"{name}.html", width=WIDE, dark=dark)
    page.value("document.querySelectorAll('details').forEach((of) => { of.open = true })")
    assert page.value(FAINT) == []
    page.value("document.querySelector('figcaption').style.color = 'rgb(120 120 120)'")
    assert any(of.startswith("FIGCAPTION") for of in page.value(FAINT))


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_nothing_is_cut(name: str, folder: Path, page: Page) -> None:
    page.show(folder / f"{name}.html", width=PAPER, media="print")
    assert page.value(CUT) == []
    assert page.value("getComputedStyle(document.querySelector('.numbers')).display") == "none"
    kept = page.value(
        "[...document.querySelectorAll('figure, tbody tr')].map((of) => getComputedStyle(of).breakInside)"
    )
    assert set(kept) == {"avoid"}
    page.value("document.querySelector('figcaption').style.minWidth = '900px'")
    assert page.value(CUT)


def test_every_figure_says_what_it_shows(folder: Path, page: Page) -> None:
    for name in PAGES:
        page.show(folder / f"{name}.html", width=WIDE)
        alts = page.value("[...document.querySelectorAll('figure > svg')].map((of) => of.ariaLabel)")
        assert len(alts) > 5
        assert all(alt.strip() for alt in alts)


ROWS = "[...document.querySelectorAll('table')].find((of) => of.caption?.textContent.startsWith('{0}'))"
COLUMN = ROWS + ".tBodies[0].rows"


def column(page: Page, table: str, place: int) -> list[str]:
    rows = COLUMN.format(table)
    return page.value(f"[...{rows}].map((row) => row.cells[{place}].textContent.trim())")  # type: ignore[no-any-return]


def test_a_table_is_sorted_by_its_headings_and_by_the_keyboard(folder: Path, page: Page) -> None:
    page.show(folder / "report.html", width=WIDE)
    heading = ROWS.format("Scores on set0") + ".tHead.rows[0].cells[{0}]"
    names, values = (column(page, "Scores on set0", place)[:-1] for place in (0, 1))
    page.value(f"{heading.format(1)}.querySelector('button').focus()")
    for direction in ("ascending", "descending"):
        page.press("Enter", code=13)
        *shown, chance = column(page, "Scores on set0", 1)
        assert shown == sorted(values, key=number, reverse=direction == "descending")
        assert chance == ""
        assert page.value(f"{heading.format(1)}.ariaSort") == direction
    page.value(f"{heading.format(0)}.querySelector('button').click()")
    assert column(page, "Scores on set0", 0)[:-1] == sorted(names)
    assert page.value(f"{heading.format(1)}.ariaSort") is None


def number(text: str) -> float:
    return float(text.split()[0])


def test_numbers_sort_by_their_value_dashes_and_chance_stay_last(folder: Path, page: Page) -> None:
    page.show(folder / "report.html", width=WIDE)
    page.value(
        f"""(() => {{
          const cells = ["1\\u202f234 ± 2", "(3.6 ± 0.1)×10⁻⁸", "—", "−0.5 [−1, 0]", "<0.001", "+2e-05", "∞"]
          const body = {ROWS.format("Scores on set0")}.tBodies[0], row = body.rows[0].cloneNode(true)
          body.replaceChildren(...cells.map((of) => {{
            const next = row.cloneNode(true)
            next.cells[1].textContent = of
            return next
          }}))
          const chance = row.cloneNode(true)
          chance.cells[1].innerHTML = "<span class='mark chance'>0.1 to 0.2</span>"
          body.prepend(chance);
          {ROWS.format("Scores on set0")}.tHead.rows[0].cells[1].querySelector("button").click()
        }})()"""
    )
    wanted = ["−0.5 [−1, 0]", "(3.6 ± 0.1)×10⁻⁸", "+2e-05", "<0.001", "1\u202f234 ± 2", "∞"]
    shown = column(page, "Scores on set0", 1)
    assert shown[:6] == wanted
    assert set(shown[6:]) == {"—", "0.1 to 0.2"}


def test_without_scripts_the_page_holds_the_same_words(folder: Path, page: Page) -> None:
    texts = []
    for scripts in (True, False):
        page.show(folder / "report.html", width=WIDE, scripts=scripts)
        texts.append(page.value("document.querySelector('main').textContent"))
        assert bool(page.value("document.querySelectorAll('th button').length")) == scripts
    assert texts[0] == texts[1]
    assert len(texts[0]) > 10_000
