"""Tables as Markdown, LaTeX and comma-separated values: escaped, bold where best, read back as they are."""

import csv
import io
import re

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


def test_latex_has_the_rules_of_booktabs_and_escapes_everything() -> None:
    assert latex(TABLE).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{a\_b on c \& d: 50 \% \textbar{} 1}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"variant & nll & p \\",
        r" & \footnotesize nats, lower is better & \footnotesize after Holm, alone \\",
        r"\midrule",
        r"dot\_product & \textbf{2.06 $\pm$ 0.03} (by chance 0.1 to 0.2) & 0.012 (0.004) \\",
        r"x\textbar{}y & $-$0.04 {[}$-$0.05, $-$0.03] & --- \\",
        r"\bottomrule",
        r"\end{tabular}",
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
    ],
)
def test_text_that_latex_sets_as_it_is(text: str, wanted: str) -> None:
    assert escaped(text) == wanted


def test_escaped_text_holds_no_command_but_ours() -> None:
    text = "".join(map(chr, range(32, 127)))
    rest = re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}|\{\[\}", "", escaped(text))
    assert not set(rest) & set("\\&%$#_{}~^")


def test_separated_values_are_read_back() -> None:
    assert list(csv.reader(io.StringIO(separated(TABLE)))) == [
        ["variant", "nll (nats, lower is better)", "p (after Holm, alone)"],
        ["dot_product", "2.06 ± 0.03 (by chance 0.1 to 0.2)", "0.012 (0.004)"],
        ["x|y", "−0.04 [−0.05, −0.03]", "—"],
    ]
