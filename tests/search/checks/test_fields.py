"""Checks of the experiment that trials train."""

from tests.search.shipped import complaint, study


def test_ends_of_a_range_that_no_experiment_takes_are_refused() -> None:
    tree = study()
    tree["spec"]["parameters"][2]["feasibleSpace"] = {"min": "-1", "max": "0.1"}
    message = complaint(tree)
    assert "weight-decay = -1 a trial is no valid experiment: training.weight_decay: given -1;" in message


def test_a_parameter_that_is_no_field_is_refused() -> None:
    tree = study()
    words = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    words[words.index("training.weight_decay=${trialParameters.weightDecay}")] = (
        "training.decay=${trialParameters.weightDecay}"
    )
    assert "training.decay: unknown key" in complaint(tree)
    words.append("--set")
    words.append("training.steps=${trialParameters.steps}")
    assert "${trialParameters.steps} is not declared" in complaint(tree)


def test_another_command_of_ours_is_refused() -> None:
    tree = study()
    tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"][1] = (
        "train"
    )
    assert "it should be `precisionflow trial NAME ...`" in complaint(tree)


def test_a_parameter_that_the_variant_sets_again_is_refused() -> None:
    tree = study("mixture-size")
    (container,) = tree["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    words = container["command"]
    words[words.index("ablation.axes={}")] = "variant=heteroscedastic"
    assert complaint(tree).startswith(
        "spec.parameters: components changes nothing in a trial, which trains variant 'heteroscedastic'"
    )
