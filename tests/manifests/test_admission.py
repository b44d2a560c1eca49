"""The sample policies: Kubernetes' own schema, and which names of images they mean."""

import re

import kubernetes_validate
import pytest
import yaml

from tests.manifests.rendered import MANIFESTS, one, rendered

DIGEST = f"@sha256:{'0' * 64}"


def test_the_policy_fits_kubernetes_schemas() -> None:
    resources = rendered("admission/digest")
    for resource in resources:
        kubernetes_validate.validate(resource, "1.34", strict=True)
    policy = one(resources, "ValidatingAdmissionPolicy", "precisionflow-images")
    binding = one(resources, "ValidatingAdmissionPolicyBinding", "precisionflow-images")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    names = [variable["name"] for variable in policy["spec"]["variables"]]
    (validation,) = policy["spec"]["validations"]
    expressions = [
        *(variable["expression"] for variable in policy["spec"]["variables"]),
        *validation.values(),
    ]
    assert set(re.findall(r"variables\.(\w+)", " ".join(expressions))) == set(names)


def test_pods_of_workflows_are_restricted_by_a_policy_that_fits_its_schema() -> None:
    resources = rendered("admission/restricted")
    for resource in resources:
        kubernetes_validate.validate(resource, "1.36", strict=True)
    policy, binding = (
        one(resources, f"MutatingAdmissionPolicy{ending}", "precisionflow-restricted")
        for ending in ("", "Binding")
    )
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    patches = [each["jsonPatch"]["expression"] for each in policy["spec"]["mutations"]]
    assert [re.findall(r"path: \"/spec/(\w+)", patch) for patch in patches] == [
        ["securityContext"],
        ["containers"],
        ["initContainers"],
    ]


@pytest.mark.parametrize(
    ("image", "moving"),
    [
        ("precisionflow-python-core", True),
        ("precisionflow-python-core:0.1.0", True),
        ("registry.example:5000/team/precisionflow-python-train:ci", True),
        (f"registry.example/team/precisionflow-python-core{DIGEST}", False),
        (f"precisionflow-python-core:0.1.0{DIGEST}", False),
        ("postgres:17", False),
        ("registry.example/precisionflow-python-like/other:1", False),
    ],
)
def test_our_images_are_meant_where_a_tag_names_them(image: str, moving: bool) -> None:
    """The pattern in the policy; RE2 there and Python's here agree on what it uses."""
    policy = one(rendered("admission/digest"), "ValidatingAdmissionPolicy", "precisionflow-images")
    (pattern,) = {
        found
        for variable in policy["spec"]["variables"]
        for found in re.findall(r"matches\('([^']+)'\)", variable["expression"])
    }
    assert bool(re.search(pattern, image)) is moving


def test_the_signed_policy_asks_for_what_make_sign_attests() -> None:
    policy = yaml.safe_load((MANIFESTS / "admission/signed/policy.yaml").read_text())
    (authority,) = policy["spec"]["authorities"]
    assert [each["predicateType"] for each in authority["attestations"]] == ["https://slsa.dev/provenance/v1"]
    assert {resource["kind"] for resource in rendered("admission/signed")} == {
        "ClusterImagePolicy",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
