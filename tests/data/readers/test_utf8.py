"""UTF-8 that passes as it is: the same characters and faults as Python's decoder, whatever the blocks."""

import codecs
import random

import pytest

from precisionflow.data.readers.utf8 import Checked, Recoded

BYTES = b"a\0\x7f\x80\xbf\xc0\xc2\xdf\xe0\xa0\x9f\xed\xef\xbb\xf0\x90\x8f\xf4\xf5\xff"
TEXT = "aé誤🎯\ufeff\0\n"


def drawn(seed):
    """Text with or without a mark, in two of three draws with bytes that are none."""
    chosen = random.Random(seed)
    text = "".join(chosen.choices(TEXT, k=chosen.randint(0, 12))).encode()
    wrong = bytes(chosen.choices(BYTES, k=chosen.randint(0, 3))) if seed % 3 else b""
    data = codecs.BOM_UTF8 * (seed % 2) + text + wrong + text * (seed % 5 == 0)
    borders = sorted(chosen.choices(range(len(data) + 1), k=chosen.randint(0, 6)))
    return [data[a:b] for a, b in zip([0, *borders], [*borders, len(data)], strict=True)] + [b""]


def read(decoder, blocks):
    """What comes out, or where the first fault is: its byte in the file and its value."""
    found, end = b"", 0
    for block in blocks:
        end += len(block)
        try:
            found += decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return end - len(error.object) + error.start, error.object[error.start]
        if isinstance(decoder, Checked):
            state, decoder = decoder.getstate(), Checked(marked=False)
            decoder.setstate(state)
    return found


@pytest.mark.parametrize("marked", [False, True])
def test_characters_and_faults_are_those_of_the_decoder_of_python(marked):
    encoding = "utf-8-sig" if marked else "utf-8"
    faults = 0
    for seed in range(2000):
        blocks = [block for block in drawn(seed) if block] + [b""]
        expected = read(Recoded(codecs.getincrementaldecoder(encoding)()), blocks)
        assert read(Checked(marked=marked), blocks) == expected, blocks
        faults += isinstance(expected, tuple)
    assert 500 < faults < 1500


def test_each_block_gives_its_whole_characters():
    decoder = Checked(marked=True)
    data = "\ufeffé🎯".encode()
    pieces = [decoder.decode(data[place : place + 1], final=False) for place in range(len(data))]
    assert pieces == [b"", b"", b"", b"", "é".encode(), b"", b"", b"", "🎯".encode()]
