"""What a failed trial said last, read from its collector's log."""

from precisionflow.cluster.katib.watch import last_words


def test_last_words_are_the_trials_own() -> None:
    log = (
        "I1123 05:55:00.259884      21 main.go:400] Trial Name: study-x\n"
        "I1123 05:55:00.405338      21 main.go:143] precisionflow: error: train: too hot; cool it\n"
        "I1123 05:55:00.405339      21 main.go:143] bye\n"
        "F1123 05:55:01.405348      21 main.go:421] Failed to wait for worker container\n"
    )
    assert last_words(log) == "train: too hot; cool it"
    assert last_words(log.replace("precisionflow: error: ", "")) == "bye"
    assert last_words(log.splitlines()[0]) is None
