"""Running texts as tokens: cut into chunks anywhere, restored from a card, with what the training text never showed."""

import itertools
import json
import os
import random
import threading
from collections import Counter

import numpy as np
import pytest

from precisionflow.config import tokens as kinds
from precisionflow.data.tokens.running import (
    byte_pairs,
    fitted_running,
    ids_of,
    knowing,
    merges,
    reread,
    restored_running,
    segments,
    words,
)
from precisionflow.data.tokens.running.byte_pairs import CUT, BytePairs
from precisionflow.data.tokens.running.encoded import Untokenisable
from precisionflow.data.tokens.running.reread import Reread, Room
from precisionflow.data.tokens.running.utf8 import alphabet, bytes_of, encode
from precisionflow.data.tokens.running.words import LINE_END, split_words
from precisionflow.records.cards import Vocabulary

SIGNS = "abcd eé誤🎯½٣ \n\t\r\x0b\x0c\x1c\x85\xa0\u2003\u3000'.,-09ſǅİ"
KINDS = (
    kinds.Characters(),
    kinds.Bytes(),
    kinds.Words(least_count=1),
    kinds.Words(least_count=1, line_ends=True, lower_case=True),
    kinds.BytePairs(size=300),
)


def random_text(seed: int, most: int = 300) -> str:
    chosen = random.Random(seed)
    return "".join(chosen.choices(SIGNS, k=chosen.randint(1, most)))


def fitted(config, train, others=""):
    return knowing(fitted_running(config, [encode(train)]), [encode(others)])


def encoded(tokeniser, chunks):
    return [i for piece in tokeniser.encoded(map(encode, chunks)) for i in piece.ids.tolist()]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("block", "part"), [(1, 1), (30, 7), (30, 1 << 16)])
@pytest.mark.parametrize("config", KINDS, ids=str)
def test_chunks_may_end_anywhere(config, block, part, seed, monkeypatch):
    monkeypatch.setattr(segments, "BLOCK", block)
    monkeypatch.setattr(segments, "PART", part)
    monkeypatch.setattr(words, "AT_ONCE", part)
    text, cuts = random_text(seed), random.Random(seed)
    tokeniser = fitted(config, f"{text}\n{text}\n{text}")
    whole = encoded(tokeniser, [text])
    assert encoded(tokeniser, list(text)) == whole
    for _ in range(5):
        borders = [0, *sorted(cuts.choices(range(len(text) + 1), k=8)), len(text)]
        assert encoded(tokeniser, [text[a:b] for a, b in itertools.pairwise(borders)]) == whole


@pytest.mark.parametrize("part", [1, 1 << 16])
@pytest.mark.parametrize("seed", range(12))
def test_tokens_are_those_of_the_naive_way(seed, part, monkeypatch):
    monkeypatch.setattr(segments, "PART", part)
    text = random_text(seed) + "\n" * (seed % 2)
    for config in KINDS:
        tokeniser = fitted(config, f"{text}\n{text}\n{text}")
        ids = encoded(tokeniser, [text])
        tokens = [tokeniser.vocabulary.tokens[i] for i in ids]
        match config:
            case kinds.Words():
                naive = [word for line in text.split("\n") for word in [*line.split(), LINE_END]][:-1]
                plain = text.split()
                assert tokens == ([w.lower() for w in naive] if config.line_ends else plain)
                assert tokens == split_words(text, config)
            case kinds.Characters():
                assert tokens == list(text)
            case kinds.Bytes():
                assert ids == list(text.encode())
            case kinds.BytePairs():
                assert ids == tokeniser.library.encode(text).ids
        if not isinstance(config, kinds.Words):
            assert tokeniser.text(ids) == text
        assert restored_running(config, tokeniser.vocabulary).text(ids) == tokeniser.text(ids)
        assert encoded(restored_running(config, tokeniser.vocabulary), [text]) == ids


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("least_count", [1, 2])
def test_words_are_listed_by_their_naive_counts(seed, block, lines, least_count, monkeypatch):
    """<unk> counts as all that it stands for, and stands among words of its count by its code points."""
    monkeypatch.setattr(segments, "BLOCK", block)
    text = random_text(seed) + " <unk>" * (seed % 3)
    config = kinds.Words(least_count=least_count, most=1 + seed, line_ends=lines)
    counts = Counter(split_words(text, config))
    common = [word for word in sorted(counts, key=lambda w: (-counts[w], w)) if counts[word] >= least_count]
    kept = {word: counts[word] for word in common[: config.most]}
    if others := counts.total() - sum(kept.values()):
        kept["<unk>"] = kept.get("<unk>", 0) + others
    expected = sorted(kept, key=lambda word: (-kept[word], word))
    assert list(fitted_running(config, [encode(text[:7]), encode(text[7:])]).vocabulary.tokens) == expected


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("config", KINDS, ids=str)
def test_a_text_is_cut_once_and_read_again(config, seed, monkeypatch, tmp_path):
    monkeypatch.setattr(segments, "BLOCK", 50)
    monkeypatch.setattr(words, "AT_ONCE", 1)
    monkeypatch.setattr(reread, "IN_MEMORY", 50 * seed)
    readings = []
    text = random_text(seed)

    def chunks():
        readings.append(None)
        return iter([encode(part) for part in (text[:100], text[100:101], text[101:])])

    tokeniser = fitted(config, f"{text}{text}")
    expected = encoded(tokeniser, [text])
    with Reread(chunks, tmp_path, Room()) as again:
        next(tokeniser.encoded(again))
        for _ in range(3):
            assert [i for piece in tokeniser.encoded(again) for i in piece.ids.tolist()] == expected
        assert again.whole == (text, len(text), len(text.encode()))
    cut = not isinstance(config, kinds.Characters | kinds.Bytes)
    assert len(readings) == (2 if cut else 4)
    assert not list(tmp_path.iterdir())


def test_texts_that_share_a_room_keep_no_more_than_it_holds(monkeypatch, tmp_path):
    monkeypatch.setattr(segments, "BLOCK", 50)
    monkeypatch.setattr(reread, "IN_MEMORY", 2000)
    room, text = Room(), " ".join(f"w{i}" for i in range(400))
    pieces = [encode(text[start : start + 50]) for start in range(0, 1200, 50)]
    with (
        Reread(lambda: iter([encode(text)]), tmp_path, room) as one,
        Reread(lambda: iter(pieces), tmp_path, room) as two,
    ):
        for again in (two, one, two, one):
            list(again.segments(CUT))
        kept = [again.kept[CUT] for again in (one, two)]
        assert 0 < sum(array.nbytes for of in kept for array in of.arrays) <= 2000
        assert all(of.file is not None for of in kept)


def test_byte_pairs_of_a_whole_text_are_those_of_its_segments():
    """What the library makes of a text at once, with runs of blanks at both ends and digits beside letters."""
    text = "".join(random_text(seed) for seed in range(40))
    tokeniser = fitted(kinds.BytePairs(size=400), text)
    for blanks in itertools.product(["", " ", " \n ", "\u3000"], repeat=2):
        given = f"{blanks[0]}{text}{blanks[1]}"
        assert encoded(BytePairs(tokeniser.vocabulary), [given]) == tokeniser.library.encode(given).ids


def test_the_library_works_in_one_thread_and_is_left_as_it_was(monkeypatch):
    """Where it encodes; what is learned does not ask it for more than the cut of a few segments."""
    seen, library = [], BytePairs.library.func

    def asked(self):
        seen.append(os.environ.get(byte_pairs.PARALLELISM))
        return library(self)

    monkeypatch.setattr(BytePairs, "library", property(asked))
    for before in (None, "true"):
        if before is None:
            monkeypatch.delenv(byte_pairs.PARALLELISM, raising=False)
        else:
            monkeypatch.setenv(byte_pairs.PARALLELISM, before)
        seen.clear()
        tokeniser = byte_pairs.byte_pairs_from([b"a b a b"], kinds.BytePairs(size=300))
        encoded(BytePairs(tokeniser.vocabulary), ["a b"])
        assert seen
        assert set(seen) == {"false"}
        assert os.environ.get(byte_pairs.PARALLELISM) == before


def test_users_of_the_library_in_several_threads_leave_it_as_it_was(monkeypatch):
    """Each works in its own thread until it is done, whichever ends first."""
    monkeypatch.setenv(byte_pairs.PARALLELISM, "true")
    first, second = threading.Event(), threading.Event()
    seen = []

    def early():
        with byte_pairs.ONE_THREAD:
            first.set()
            assert second.wait(10)

    thread = threading.Thread(target=early)
    thread.start()
    assert first.wait(10)
    with byte_pairs.ONE_THREAD:
        second.set()
        thread.join()
        seen.append(os.environ.get(byte_pairs.PARALLELISM))
    assert [*seen, os.environ.get(byte_pairs.PARALLELISM)] == ["false", "true"]


def test_byte_pairs_are_the_naive_merges():
    """Sennrich et al. (2016), algorithm 1, on words with the blank before them."""
    text = " low low low low low lower lower newest newest newest newest newest newest widest widest widest"
    words = Counter(tuple(f" {word}") for word in text.split())
    steps = []
    for _ in range(9):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        most = max(pairs.values())
        tied = [pair for pair, count in pairs.items() if count == most]
        steps.append({(a.replace(" ", "Ġ"), b.replace(" ", "Ġ")) for a, b in tied})
        learned = fitted(kinds.BytePairs(size=256 + len(steps)), text).vocabulary.merges
        left, right = (part.replace("Ġ", " ") for part in learned[-1].split(" "))
        merged = Counter()
        for word, count in words.items():
            joined, place = [], 0
            while place < len(word):
                both = word[place : place + 2] == (left, right)
                joined.append(left + right if both else word[place])
                place += 1 + both
            merged[tuple(joined)] += count
        words = merged
    assert len(learned) == len(steps)
    for merge, allowed in zip(learned, steps, strict=True):
        assert tuple(merge.split(" ")) in allowed
    ids = encoded(fitted(kinds.BytePairs(size=265), text), [text])
    assert len(ids) == sum(len(word) * count for word, count in words.items())


def learned_by_the_library(text, size, least_count):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.train_from_iterator(
        [text],
        trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=least_count,
            initial_alphabet=[*alphabet()],
            show_progress=False,
        ),
    )
    return [" ".join(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]


def test_byte_pairs_are_those_that_the_library_learns_from_the_text_itself(monkeypatch):
    text = " ".join(random_text(seed) for seed in range(60)) + " don't 'd we'll plain words 12 ... <=> end"
    monkeypatch.setattr(byte_pairs, "PART", 3)
    found = fitted(kinds.BytePairs(size=400), text).vocabulary.merges
    assert list(found) == learned_by_the_library(text, 400, 2)


@pytest.mark.parametrize("seed", range(30))
def test_ties_and_runs_are_merged_as_by_the_library(seed, monkeypatch):
    """Few letters: most pairs are tied, and many overlap themselves."""
    monkeypatch.setattr(merges, "PART", 1 + seed * 7)
    chosen = random.Random(seed)
    text = "".join(chosen.choices("aab " if seed % 2 else "ab", k=400))
    config = kinds.BytePairs(size=256 + chosen.randint(1, 120), least_count=1 + seed % 3)
    found = fitted(config, text).vocabulary.merges
    assert list(found) == learned_by_the_library(text, config.size, config.least_count)
    made = [merge.replace(" ", "") for merge in found]
    assert len(set(made)) == len(made)


def test_a_text_without_a_pair_has_no_merge():
    for text in ("", "a", " a"):
        assert fitted(kinds.BytePairs(), text).vocabulary.tokens[:256] == alphabet()
    assert not fitted(kinds.BytePairs(), "a").vocabulary.merges


def test_byte_pairs_of_a_text_are_always_the_same():
    text = "".join(random_text(seed) for seed in range(30))
    first, second = (fitted(kinds.BytePairs(size=400), text).vocabulary for _ in range(2))
    assert first == second
    assert first.ids == 400
    assert first.tokens[:256] == alphabet()


def test_every_byte_has_a_sign_of_its_own():
    assert len(set(alphabet())) == 256
    assert bytes_of("".join(alphabet())) == bytes(range(256))
    assert not any(sign.isspace() for sign in alphabet())


def test_ids_of_segments_are_forgotten_when_they_are_many(monkeypatch):
    text = " ".join(map(str, range(400)))
    tokeniser = fitted(kinds.BytePairs(size=300), text)
    expected = encoded(tokeniser, [text])
    monkeypatch.setattr(byte_pairs, "MOST_KEPT", 10)
    monkeypatch.setattr(segments, "BLOCK", 1)
    again = BytePairs(tokeniser.vocabulary)
    assert encoded(again, [text[i : i + 50] for i in range(0, len(text), 50)]) == expected
    assert len(again.kept.row) < 40


def test_words_stand_by_count_and_the_rest_is_one_token():
    text = "b b b a a a c c d e <unk> f"
    assert fitted(kinds.Words(least_count=1), text).vocabulary.tokens == (*tuple("abc"), "<unk>", *"def")
    assert fitted(kinds.Words(least_count=2), text).vocabulary.tokens == ("<unk>", "a", "b", "c")
    assert fitted(kinds.Words(least_count=1, most=2), text).vocabulary.tokens == ("<unk>", "a", "b")
    assert fitted(kinds.Words(least_count=1), "a a b").vocabulary.tokens == ("a", "b")
    lines = fitted(kinds.Words(least_count=1, line_ends=True, lower_case=True), "A b\n\na\n")
    assert lines.vocabulary.tokens == (LINE_END, "a", "b")
    assert lines.text(encoded(lines, ["A b\n\na\n"])) == "a b\n\na\n"
    new = fitted(kinds.Words(least_count=1, line_ends=True), "a b", "a\nb")
    assert new.vocabulary.tokens == ("a", "b", "<unk>")
    assert encoded(new, ["a\nb \n\n"]) == [0, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("config", "unknown"),
    [(kinds.Characters(), "\N{REPLACEMENT CHARACTER}"), (kinds.Words(least_count=1), "<unk>")],
    ids=str,
)
def test_the_unknown_token_is_there_only_where_something_is_unknown(config, unknown):
    train = "a b c a b c"
    without = fitted(config, train, others="c b a")
    assert unknown not in without.vocabulary.tokens
    tokeniser = fitted(config, train, others="c b a x y a")
    assert tokeniser.vocabulary.tokens == (*without.vocabulary.tokens, unknown)
    pieces, last = list(tokeniser.encoded([b"x a y z"])), tokeniser.vocabulary.ids - 1
    assert sum(piece.unknown for piece in pieces) == 3
    assert encoded(tokeniser, ["x a y z"]).count(last) == 3
    rare = fitted(config.model_copy(update={"least_count": 2}), f"{train} q", others="")
    assert unknown in rare.vocabulary.tokens
    assert "q" not in rare.vocabulary.tokens


def test_every_unknown_token_counts():
    tokeniser = fitted(kinds.Words(least_count=2), "a a b b", "c")
    pieces = list(tokeniser.encoded([b"c a c c d"]))
    assert sum(piece.unknown for piece in pieces) == 4


def test_a_text_without_segments_is_read_again(tmp_path):
    tokeniser = fitted(kinds.Words(least_count=1), "a")
    with Reread(lambda: iter([b""]), tmp_path, Room()) as empty:
        for _ in range(2):
            assert not list(tokeniser.encoded(empty))


def test_what_the_text_itself_calls_unknown_is_known():
    tokeniser = fitted(kinds.Words(least_count=1), "<unk> a <unk> b", others="<unk> c")
    assert sum(piece.unknown for piece in tokeniser.encoded([b"<unk> c a"])) == 1
    assert encoded(tokeniser, ["<unk> c a"]) == [0, 0, 1]


def test_without_an_unknown_token_new_text_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^text has words that the model never saw: 'y' \(place 1\), 'x' \(place 3\); leave them",
    ):
        ids_of(fitted(kinds.Words(least_count=1), "a b"), "y a x")
    assert ids_of(fitted(kinds.Words(), "a a b"), "y a x").tolist() == [1, 0, 1]
    assert ids_of(fitted(kinds.BytePairs(), "a b"), "yx").tolist() == [ord("y"), ord("x")]


def test_half_of_a_surrogate_pair_is_read_as_something():
    for config in KINDS:
        assert len(ids_of(fitted(config, "a b ? a b ?"), "a \ud800 b")) > 1


def test_no_token_that_stands_often_enough_is_a_fault():
    for config in (kinds.Words(least_count=3), kinds.Characters(least_count=3)):
        with pytest.raises(
            Untokenisable, match=r"stands 3 times in the training text; lower task\.tokens\.least"
        ):
            fitted(config, "a b")


@pytest.mark.parametrize("behind", ["", " b a\n", "x" * 30 + " b"])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_a_run_without_a_blank_has_an_end(monkeypatch, block, behind):
    """Wherever it stands in a block."""
    monkeypatch.setattr(segments, "LONGEST", 10)
    monkeypatch.setattr(segments, "BLOCK", block)
    tokeniser = fitted(kinds.Words(least_count=1), "a b")
    with pytest.raises(
        Untokenisable, match=r"^'xxxxxxxxxxxxxxxxxxxx'\.\.\. goes on for more than 10 "
    ) as fault:
        list(tokeniser.encoded([b"a b\n", encode("b a\n" + "x" * 30 + behind)]))
    assert fault.value.line == 3


def test_blanks_that_go_on_are_named_as_such(monkeypatch):
    monkeypatch.setattr(segments, "LONGEST", 10)
    tokeniser = fitted(kinds.Words(least_count=1), "a b")
    with pytest.raises(Untokenisable, match=r"^'abc'\.\.\. goes on .* with the blanks before it; ") as fault:
        list(tokeniser.encoded([b"a\n b\n" + b" " * 8 + b"\nabc b"]))
    assert fault.value.line == 4


@pytest.mark.parametrize(
    ("config", "text", "begun"),
    [
        (kinds.Characters(), "éa", 1),
        (kinds.Bytes(), "éa", 1),
        (kinds.Words(), "  one two", 5),
        (kinds.Words(line_ends=True), " \n one", 2),
        (kinds.Words(line_ends=True), " one\n", 4),
        (kinds.Words(), "  ", 2),
        (kinds.BytePairs(), "one two", 3),
        (kinds.BytePairs(), "誤り", 1),
    ],
    ids=str,
)
def test_a_text_is_predicted_after_its_first_token(config, text, begun):
    tokeniser = fitted(config, "one one two two one é é")
    assert tokeniser.begun(text) == begun


def test_the_card_holds_all_of_a_tokeniser():
    vocabulary = fitted(kinds.BytePairs(size=270), "one two one two one two").vocabulary
    assert Vocabulary.model_validate_json(vocabulary.model_dump_json()) == vocabulary
    assert len(vocabulary.merges) == vocabulary.ids - 256
    assert "merges" not in Vocabulary(tokens=("a",)).model_dump()


@pytest.mark.parametrize("part", [1, 1000, 1 << 20])
@pytest.mark.parametrize("blanks", [segments.WHITE_SPACE, segments.SEPARATORS])
def test_every_blank_is_found_in_utf8(blanks, part, monkeypatch):
    monkeypatch.setattr(segments, "PART", part)
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    near = {chr(ord(blank) + step) for blank in blanks for step in (-1, 0, 1)}
    text = "x".join(every[:0x3100] + every[-0x100:] if part > 1 else sorted(near))
    found = [
        segment
        for part in segments.cut_at(blanks, [text.encode()])
        for segment in part.dictionary.to_pylist()
    ]
    assert {segment[0] for segment in found[1:]} == set(blanks)
    assert set(segments.SEPARATORS) == {sign for sign in every if sign.isspace()}


def test_bags_are_taken():
    flat, lengths = np.array([1, 2, 3], dtype=np.int32), np.array([2, 0, 1])
    index = np.array([2, 0, 1, 0, 2])
    assert segments.ragged_take(flat, lengths, index).tolist() == [3, 1, 2, 1, 2, 3]
