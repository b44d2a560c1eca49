"""Digits: two of the uncertainty, shared, at every scale."""

import math
import re

import numpy as np
import pytest

from precisionflow.report.digits import plus_minus, significant, span, with_interval

SCALES = tuple(10.0**power for power in range(-12, 13))
FACTOR = re.compile(r"\(?([^)]*?)\)?×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def read_back(text: str) -> tuple[list[float], list[str]]:
    """The numbers in a text, and how each of them is written."""
    power = 0
    if factor := FACTOR.fullmatch(text):
        text, raised = factor.groups()
        power = int(raised.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    written = re.findall(r"[−+]?\d+(?:\.\d+)?", text)
    return [float(each.replace("−", "-")) * 10.0**power for each in written], written


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (2.06123, 0.0034, "2.0612 ± 0.0034"),
        (56.31, 3.69, "56.3 ± 3.7"),
        (202.4, 13.0, "202 ± 13"),
        (1234.5, 1000.0, "1234 ± 1000"),
        (-1.204, 0.11, "−1.20 ± 0.11"),
        (0.52, 0.0996, "0.52 ± 0.10"),
        (0.02, 0.0, "0.02000 (all equal)"),
        (0.7, 1e-15, "0.7000 (all equal)"),
        (1e9, 0.5, "(1.00000000000 ± 0.00000000050)×10⁹"),
        (0.0, 0.0, "0.000 (all equal)"),
        (0.0, 1e-7, "(0.0 ± 1.0)×10⁻⁷"),
        (3.6e-8, 1.2e-9, "(3.60 ± 0.12)×10⁻⁸"),
        (9.99e-5, 1e-6, "(9.99 ± 0.10)×10⁻⁵"),
        (9.9999e-5, 1e-7, "(10.000 ± 0.010)×10⁻⁵"),
        (4.56e9, 1.2e7, "(4.560 ± 0.012)×10⁹"),
        (2.345678, math.nan, "2.346"),
        (-2.5e-12, math.nan, "−2.500×10⁻¹²"),
        (1.5, math.inf, "1.500 ± ∞"),
        (math.inf, math.nan, "∞"),
        (-math.inf, 1.0, "−∞"),
        (math.nan, math.nan, "—"),
        (0.0, math.nan, "0.000"),
    ],
)
def test_value_and_half_width(value: float, half: float, text: str) -> None:
    assert plus_minus(value, half) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((-0.0123, -0.0207, -0.0039), "−0.0123 [−0.0207, −0.0039]"),
        ((0.05, -0.06, 0.16), "+0.05 [−0.06, 0.16]"),
        ((-0.0381, math.nan, math.nan), "−0.03810"),
        ((0.0, 0.0, 0.0), "0.000 (all equal)"),
        ((-0.5, -0.5, -0.5), "−0.5000 (all equal)"),
        ((-0.0001, -0.9, 0.9), "0.00 [−0.90, 0.90]"),
        ((4.2e-8, 3.1e-8, 5.3e-8), "(+4.2 [3.1, 5.3])×10⁻⁸"),
        ((0.2, -math.inf, 0.4), "+0.2000 [−∞, 0.4000]"),
        ((math.nan, math.nan, math.nan), "—"),
    ],
)
def test_effect_has_a_sign_and_its_interval(ends: tuple[float, float, float], text: str) -> None:
    assert with_interval(*ends) == text


def test_span_and_single_numbers() -> None:
    assert [span(0.8, 0.95), span(3e-8, 5.5e-8), span(0.5, 0.5)] == [
        "0.80 to 0.95",
        "(3.0 to 5.5)×10⁻⁸",
        "0.5000 to 0.5000",
    ]
    assert [significant(x, digits=3) for x in (0.0, 1.234, 0.0004, 0.00001234, 123.4, 7654321.0)] == [
        "0.000",
        "1.23",
        "0.000400",
        "1.23×10⁻⁵",
        "123",
        "7.65×10⁶",
    ]
    assert significant(0.123456, spread=0.01) == "0.123"


@pytest.mark.parametrize("scale", SCALES)
def test_what_is_written_is_within_a_twentieth_of_the_uncertainty(scale: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        half = float(scale * 10 ** random.uniform(-4, 4))
        value = float(random.normal() * scale)
        (shown, width), written = read_back(plus_minus(value, half))
        assert abs(shown - value) <= 0.0501 * half
        assert abs(width - half) <= 0.0501 * half
        assert len({text.partition(".")[2].__len__() for text in written}) == 1
        decided, _, _ = read_back(with_interval(value, value - half, value + half))[0]
        assert abs(decided - value) <= 0.0501 * half


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_what_is_no_difference_has_no_plus(scale: float) -> None:
    shown = [with_interval(scale * 2.8, scale * low, scale * 7.7, sign=False) for low in (0.7, 7.7, math.nan)]
    assert not any("+" in text for text in shown)
    assert with_interval(scale * 2.8, scale * 0.7, scale * 7.7).lstrip("(").startswith("+2.8")
