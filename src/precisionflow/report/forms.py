"""Forms of a table beside the page: Markdown, LaTeX, comma-separated values."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

from precisionflow.report.tables import Entry, Table

_GREEK = "alpha beta gamma delta varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau varphi chi psi omega"
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # after the end of a row a bracket would be the row's distance, a star its command
    "*": "{*}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "→": r"$\to$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "µ": r"$\mu$",
    **{letter: rf"$\{name}$" for letter, name in zip("αβγδεζηθκλμνξπρστφχψω", _GREEK.split(), strict=True)},
    "—": r"\textemdash{}",
    "–": r"\textendash{}",
    "…": r"\dots{}",
    "\u202f": r"\,",
    "\u00a0": "~",
}
"""Signs that LaTeX reads as commands, and those that its usual fonts lack."""
_LETTERS = frozenset("ßæÆøØåÅœŒłŁ")
"""Letters beside the accented ones that its usual fonts have."""
_OGONEK = "\u0328"
_NO_WIDER_THAN_A_LINE = (
    r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{% packages booktabs, graphicx"
)
_POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def markdown(table: Table) -> str:
    """The table under its caption, as GitHub and MLflow show it; bold what is best."""
    lines = [
        f"{table.caption}:",
        "",
        _piped(map(_whole, table.columns)),
        _piped("---" for _ in table.columns),
    ]
    lines += [_piped(map(_marked, row)) for row in table.rows]
    return "\n".join(lines) + "\n"


def _marked(entry: Entry) -> str:
    return f"**{entry.text}**{_aside(entry)}" if entry.kind == "best" else _whole(entry)


def _whole(entry: Entry) -> str:
    return f"{entry.text}{_aside(entry)}"


def _aside(entry: Entry) -> str:
    """ " (0.031)": what the page has in small letters; a mark of the best says no more than bold does."""
    notes = [entry.note if entry.kind != "best" else "", entry.chance and f"by chance {entry.chance}"]
    told = ", ".join(filter(None, notes))
    return f" ({told})" if told and entry.text else told


def _piped(texts: Iterable[str]) -> str:
    return "| " + " | ".join(_line(text).replace("|", r"\|") for text in texts) + " |"


def latex(table: Table) -> str:
    r"""A floating table with the rules of booktabs, at most as wide as a line; names escaped, bold what is best."""
    columns = "l" + "r" * (len(table.columns) - 1)
    head = [_row(escaped(heading.text) for heading in table.columns)]
    if any(heading.note for heading in table.columns):
        head.append(_row(_small(heading.note) for heading in table.columns))
    body = [_row(map(_emphasised, row)) for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(table.caption)}}}",
            _NO_WIDER_THAN_A_LINE,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _emphasised(entry: Entry) -> str:
    text = escaped(entry.text)
    return (rf"\textbf{{{text}}}" if entry.kind == "best" else text) + escaped(_aside(entry))


def _small(note: str) -> str:
    return rf"\footnotesize {escaped(note)}" if note else ""


def _row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is."""
    parts = re.split("([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", _line(text))
    return "".join(
        f"$^{{{part.translate(_POWERS)}}}$"
        if place % 2
        else re.sub("-(?=-)", "-{}", "".join(map(_sign, part)))
        for place, part in enumerate(parts)
    )


def _sign(sign: str) -> str:
    """A sign as LaTeX sets it; one that its usual fonts lack by its number in Unicode."""
    if sign in _LATEX:
        return _LATEX[sign]
    if sign in _LETTERS or " " <= sign <= "~":
        return sign
    base, *accents = list(unicodedata.normalize("NFD", sign))
    accented = sign < "\u0180" and base.isascii() and len(accents) == 1 and accents[0] != _OGONEK
    return sign if accented else f"U+{ord(sign):04X}"


def separated(table: Table) -> str:
    """Comma-separated values, quoted as in RFC 4180 where they need it; notes in brackets, lines end with LF."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_whole, table.columns))
    writer.writerows(map(_whole, row) for row in table.rows)
    return file.getvalue()


def _line(text: str) -> str:
    return " ".join(text.splitlines())
