"""Tables as Markdown, LaTeX and comma-separated values: escaped, bold where best, read back as they are."""

import csv
import io
import re
import unicodedata

import pytest

from precisionflow.report.forms import escaped, latex, markdown, separated
from precisionflow.report.tables import Entry, Table

TABLE = Table(
    "a_b on c & d: 50 % | 1",
    (Entry("variant"), Entry("nll", "nats, lower is better"), Entry("p", "after Holm, alone")),
    (
        (Entry("dot_product"), Entry("2.06 ± 0.03", "best", "best", "0.1 to 0.2"), Entry("0.012", "0.004")),
        (Entry("x|y"), Entry("−0.04 [−0.05, −0.03]"), Entry("—")),
    ),
)


def test_markdown_escapes_what_ends_a_cell_and_marks_the_best() -> None:
    assert markdown(TABLE).splitlines() == [
        "a_b on c & d: 50 % | 1:",
        "",
        "| variant | nll (nats, lower is better) | p (after Holm, alone) |",
        "| --- | --- | --- |",
        "| dot_product | **2.06 ± 0.03** (by chance 0.1 to 0.2) | 0.012 (0.004) |",
        r"| x\|y | −0.04 [−0.05, −0.03] | — |",
    ]


def test_latex_has_the_rules_of_booktabs_fits_the_line_and_escapes_everything() -> None:
    assert latex(TABLE).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{a\_b on c \& d: 50 \% \textbar{} 1}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{% packages booktabs, graphicx",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"variant & nll & p \\",
        r" & \footnotesize nats, lower is better & \footnotesize after Holm, alone \\",
        r"\midrule",
        r"dot\_product & \textbf{2.06 $\pm$ 0.03} (by chance 0.1 to 0.2) & 0.012 (0.004) \\",
        r"x\textbar{}y & $-$0.04 {[}$-$0.05, $-$0.03] & \textemdash{} \\",
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("#1 $x$ {y}", r"\#1 \$x\$ \{y\}"),
        ("~ ^ < > \\", r"\textasciitilde{} \textasciicircum{} \textless{} \textgreater{} \textbackslash{}"),
        ("(3.60 ± 0.12)×10⁻⁸", r"(3.60 $\pm$ 0.12)$\times$10$^{-8}$"),
        ("target², −∞", r"target$^{2}$, $-$$\infty$"),
        ("two\nlines", "two lines"),
        ("1\u202f234 → 5", r"1\,234 $\to$ 5"),
        ("μ* and σ", r"$\mu${*} and $\sigma$"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ('"Zürich" naïve ß', "''Zürich'' naïve ß"),
        ("中 ą 🙂 \x00", "U+4E2D U+0105 U+1F642 U+0000"),
    ],
)
def test_text_that_latex_sets_as_it_is(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


def every_sign() -> str:
    """Of the Basic Multilingual Plane, surrogates left out, and some beyond."""
    return "".join(map(chr, [*range(32, 0xD800), *range(0xE000, 0xFFFE), 0x1F642, 0x20000]))


def test_escaped_text_holds_no_command_but_ours() -> None:
    rest = escaped(every_sign())
    rest = re.sub(r"\$(?:-|\^\{[-\d]+\}|\\[a-z]+)\$", "", rest)
    rest = re.sub(r"\\[&%$#_{}]|\\(?:text[a-z]+|dots)\{\}|\{[\[*]\}|-\{\}|\\,", "", rest)
    assert not set(rest) & set("\\&%$#_{}^")
    assert rest.count("~") == 1, "the blank that no line breaks at"


def test_escaped_text_holds_only_signs_that_the_usual_fonts_have() -> None:
    beyond = {sign for sign in escaped(every_sign()) if not sign.isascii()}
    assert "é" in beyond
    for sign in beyond - set("ßæÆøØåÅœŒłŁ"):
        base, accent = unicodedata.normalize("NFD", sign)
        assert base.isascii()
        assert unicodedata.combining(accent)
        assert accent != "\u0328", "an ogonek takes fonts of another encoding"


@pytest.mark.parametrize("first", ["[", "*", "é", "-"])
def test_a_row_may_begin_with_any_sign(first: str) -> None:
    """What follows the end of a row is read as its distance or its star."""
    table = Table("c", (Entry("a"), Entry("b")), ((Entry("x"), Entry("1")), (Entry(first), Entry("2"))))
    row = latex(table).splitlines()[-4]
    assert row.endswith(r" & 2 \\")
    assert not row.startswith(("[", "*"))


def test_separated_values_are_read_back() -> None:
    assert list(csv.reader(io.StringIO(separated(TABLE)))) == [
        ["variant", "nll (nats, lower is better)", "p (after Holm, alone)"],
        ["dot_product", "2.06 ± 0.03 (by chance 0.1 to 0.2)", "0.012 (0.004)"],
        ["x|y", "−0.04 [−0.05, −0.03]", "—"],
    ]
