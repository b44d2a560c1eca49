"""Looking inside: entropies against closed forms, precisions against the potential's own, sums by symbol by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from precisionflow.config.attention import (
    Attention,
    DotProduct,
    GaussianMixture,
    GaussianPerKey,
    GaussianSeparable,
    Independent,
    LaplaceByChannel,
    StudentTIsotropic,
)
from precisionflow.config.networks import Transformer
from precisionflow.evaluation.inspection import MAPPED, attention_table, edges_table, sharpest_head
from precisionflow.models.attention.inspection import distributions, edges, entropy, looks, of_symbols
from precisionflow.models.networks.layered import TokenNetwork
from precisionflow.models.networks.transformer import TiedReadout, transformer
from precisionflow.records.files import checked
from precisionflow.records.schemas import ATTENTION, EDGES

SYMBOLS = list("abcdefg")


def untrained(chosen: Attention) -> TokenNetwork:
    torch.manual_seed(0)
    config = Transformer(blocks=2, heads=2, width=8, attention=chosen, zero_projections=False)
    return transformer(config, vocabulary=len(SYMBOLS), context=9, readout=TiedReadout).double().eval()


def network(chosen: Attention) -> TokenNetwork:
    made = untrained(chosen)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def windows() -> torch.Tensor:
    return torch.randint(len(SYMBOLS), (6, 9), generator=torch.Generator().manual_seed(1))


def test_edges_that_are_all_alike_have_the_logarithm_of_their_number():
    made = network(Attention())
    for layer in made.layers[1::2]:
        nn.init.zeros_(layer.branch.potential.queries_keys.norm.gain)
    for look in looks(made, windows()):
        torch.testing.assert_close(
            entropy(look), torch.arange(1, 10).double().log().expand(6, 2, 9), rtol=1e-12, atol=1e-12
        )
        assert look.log_precision is None


def test_independent_edges_count_by_their_shares():
    for look in looks(network(Attention(edges=Independent())), windows()):
        p = edges(look).numpy()
        share = p / p.sum(-1, keepdims=True)
        np.testing.assert_allclose(
            entropy(look), -(share * np.log(np.where(share > 0, share, 1))).sum(-1), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (Attention(), {}),
        (Attention(edges=Independent(expected=1.5)), {"expected edges": 1.5}),
        (
            Attention(potential=LaplaceByChannel(initial_precision=0.2), temperature=3.0),
            {"temperature": 3.0, "precision": 0.2},
        ),
        (
            Attention(potential=StudentTIsotropic(initial_precision=2.0)),
            {"precision": 2.0, "degrees of freedom": 4.0},
        ),
        (
            Attention(potential=GaussianMixture(initial_precision=1.0)),
            {
                "weight 1": 0.5,
                "weight 2": 0.5,
                "precision 1": 0.5,
                "precision 2": 2.0,
                "shift 1": 0.0,
                "shift 2": 0.0,
            },
        ),
    ],
)
def test_heads_tell_the_distributions_that_they_begin_with(chosen, told):
    found = distributions(untrained(chosen))
    assert found == [
        {name: pytest.approx([number] * 2, rel=1e-6) for name, number in told.items()} for _ in range(2)
    ]


@pytest.mark.parametrize("chosen", [GaussianPerKey(), GaussianSeparable()])
def test_precisions_are_those_that_the_potential_weighs_keys_by(chosen):
    made = network(Attention(potential=chosen))
    found = attention_table(made, windows().split(4), symbols=SYMBOLS)
    table = checked(found, ATTENTION, "here").to_pandas()
    ids = windows().flatten().numpy()
    for layer, look in enumerate(looks(made, windows())):
        for head in range(2):
            own = look.log_precision[:, head].flatten().numpy()
            of_head = table[(table["layer"] == layer) & (table["head"] == head)].set_index("symbol")
            assert of_head["n"].sum() == ids.size
            for symbol, letter in enumerate(SYMBOLS):
                assert of_head.loc[letter, "n"] == (ids == symbol).sum()
                assert of_head.loc[letter, "log_precision"] == pytest.approx(own[ids == symbol].mean())
                measured = entropy(look)[:, head].flatten().numpy()[ids == symbol].mean()
                assert of_head.loc[letter, "entropy"] == pytest.approx(measured)


def test_padding_counts_nowhere():
    """Texts that are padded together, tokens as bags of one id, against the same texts one by one."""
    made = network(Attention(potential=GaussianPerKey()))
    lengths, bags = torch.arange(4, 10), windows().clamp(min=1)[..., None]
    mask = torch.arange(9) < lengths[:, None]
    together = of_symbols(made, [(bags, mask)], symbols=len(SYMBOLS))
    alone = [(text[:length][None], None) for text, length in zip(bags, lengths.tolist(), strict=True)]
    for padded, single in zip(together, of_symbols(made, alone, symbols=len(SYMBOLS)), strict=True):
        assert padded[:4] == single[:4]
        assert padded[4:] == pytest.approx(single[4:], rel=1e-9)


def test_where_no_token_states_a_precision_there_is_no_column():
    found = attention_table(network(Attention(potential=DotProduct())), [windows()], symbols=SYMBOLS)
    assert found.column_names == ["layer", "head", "symbol", "n", "entropy"]
    assert checked(found, ATTENTION, "here").num_rows == 2 * 2 * len(SYMBOLS)


def test_a_stated_precision_is_the_bias_where_nothing_is_learned():
    torch.manual_seed(0)
    config = Transformer(
        blocks=1, heads=2, width=8, attention=Attention(potential=GaussianPerKey(initial_precision=3.0))
    )
    made = transformer(config, vocabulary=len(SYMBOLS), context=9, readout=TiedReadout).eval()
    found = attention_table(made, [windows()], symbols=SYMBOLS).to_pandas()
    np.testing.assert_allclose(found["log_precision"], math.log(3.0), rtol=1e-6)
    assert not made.layers[1].branch._forward_pre_hooks


def test_the_sharpest_head_is_the_one_of_least_entropy_over_all_tokens():
    """Head 1 of layer 1 has least by its many tokens, head 0 of layer 0 by the mean of its symbols."""
    rows = [
        {"layer": layer, "head": head, "symbol": symbol, "n": n, "entropy": entropy}
        for layer, head, entropies in ((0, 0, (1.0, 0.1)), (0, 1, (1.0, 1.0)), (1, 1, (0.9, 0.9)))
        for symbol, n, entropy in zip("ab", (9, 1), entropies, strict=True)
    ]
    assert sharpest_head(pa.Table.from_pylist(rows)) == (1, 1)


def test_edges_are_the_posterior_of_the_head_with_the_texts_of_its_tokens():
    made, read = network(Attention(potential=GaussianPerKey())), windows()[1:]
    table = edges_table(made, read, symbols=SYMBOLS, layer=1, head=0)
    found = checked(table, EDGES, "here").to_pandas()
    expected = edges(looks(made, read[:1])[1])[0, 0].numpy()
    np.testing.assert_array_equal(found["probability"], expected.flatten())
    assert (found["layer"] == 1).all()
    assert not found["head"].any()
    texts = [SYMBOLS[token] for token in read[0].tolist()]
    assert found["token"].tolist() == [text for text in texts for _ in texts]
    assert found["attended"].tolist() == texts * len(texts)
    assert found["query"].tolist() == sorted(found["key"])


def test_of_a_long_window_the_first_tokens_are_kept():
    made, long = network(Attention()), torch.zeros(1, MAPPED + 3, dtype=torch.long)
    found = edges_table(made, long, symbols=SYMBOLS, layer=0, head=1).to_pandas()
    assert len(found) == MAPPED**2
    np.testing.assert_allclose(found.groupby("query")["probability"].sum(), 1)
