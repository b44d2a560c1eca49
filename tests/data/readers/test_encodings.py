"""Encodings without a mark: found in texts of any script, and never in a text of one byte a character."""

import numpy as np
import pytest

from precisionflow.data.readers.encodings import encoding_of

WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
TEXTS = (
    "a,b\n1,2\n",
    "Größe: «dunkel».\r\n",
    "Мороз и солнце; день чудесный!\n",
    "Η αλεπού πηδάει\r\n",
    "一二三，今天天气很好。\n",
    "名称,价格\n苹果,3\n梨,5\n",
    "名前はまだ無い。 どこで\n",
    "모든 국민은 권리를 가진다.\n",
    "السلام عليكم\n",
    "שלום לכם\n",
    "सभी मनुष्यों को अधिकार\n",
    "สวัสดีครับ ยินดี\n",
    "да 😀 нет\n",
)


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("text", TEXTS)
def test_the_order_of_bytes_is_known_by_the_characters(text: str, encoding: str) -> None:
    for repeats in (1, 300):
        assert encoding_of((text * repeats).encode(encoding)) == encoding


@pytest.mark.parametrize(
    "encoding", ["utf-8", "cp1252", "cp1251", "koi8-r", "cp866", "gbk", "shift_jis", "euc_kr"]
)
def test_a_text_with_bytes_that_are_0_is_no_wide_one(encoding: str) -> None:
    draws, seen = np.random.default_rng(0), 0
    for text in TEXTS:
        try:
            content = (text * 50).encode(encoding)
        except UnicodeEncodeError:
            continue
        for _ in range(50):
            part = np.frombuffer(content[: draws.integers(len(content) // 2, len(content))], np.uint8).copy()
            part[draws.random(len(part)) < draws.choice([0.001, 0.02, 0.05])] = 0
            for damaged in (
                part.tobytes(),
                content.replace(b"\n", b"\0")[: len(part)],
                content.replace(b" ", b"\0"),
            ):
                assert encoding_of(damaged) == "utf-8", damaged[:40]
                seen += 1
    assert seen >= 300
