"""The InferenceService against the models that KServe publishes (PyPI, kserve), which it makes from its own schema."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvae_export.kserve import inference_service, service_name
from cvae_export.triton import triton_name

SCALARS = {"str": str, "int": int, "bool": bool}


@pytest.fixture(scope="module")
def check(schema: Callable) -> Callable[[str], dict[str, Any]]:
    """Gives the values of a service's YAML; raises ValueError for what KServe's models do not have or lack."""

    def walk(kind: str, value: Any, place: str) -> None:
        if kind in SCALARS:
            if type(value) is not SCALARS[kind]:
                raise ValueError(f"{place} must be {kind}, got {value!r}")
            return
        if kind.startswith("list["):
            for number, item in enumerate(value):
                walk(kind[5:-1], item, f"{place}[{number}]")
            return
        if kind == "V1ObjectMeta":  # Kubernetes' own
            assert set(value) == {"name"}
            return
        module = schema(f"kserve.models.{re.sub(r'(?<!^)(?=[A-Z])', '_', kind).lower()}")
        model = getattr(module, kind)
        attributes = {key: attribute for attribute, key in model.attribute_map.items()}
        if not isinstance(value, dict) or set(value) - set(attributes):
            raise ValueError(f"{place} must be {kind} with {sorted(attributes)}, got {value!r}")
        for key, item in value.items():
            walk(model.openapi_types[attributes[key]], item, f"{place}.{key}")
        model(**{attributes[key]: item for key, item in value.items()})  # raises ValueError for what it lacks

    def checked(text: str) -> dict[str, Any]:
        service = yaml.safe_load(text)
        walk("V1beta1InferenceService", service, "service")
        return service

    return checked


def test_is_a_v1beta1_service_of_onnx_by_tritons_runtime(check) -> None:
    service = check(inference_service("mnist"))
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert service["metadata"] == {"name": "mnist"}
    assert service["spec"]["predictor"]["model"] == {
        "modelFormat": {"name": "onnx", "version": "1"},
        "protocolVersion": "v2",
        "runtime": "kserve-tritonserver",
        "storageUri": "pvc://YOUR-CLAIM/mnist/serving/triton",
    }


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("storageUri", "storageURI", r"service.spec.predictor.model must be V1beta1ModelSpec"),
        ('version: "1"', "version: 1", r"service.spec.predictor.model.modelFormat.version must be str, got 1"),
        ("predictor", "predictors", r"service.spec must be V1beta1InferenceServiceSpec"),
        ('modelFormat:\n        name: onnx\n        version: "1"\n', "env: []\n", "`model_format`, must not be `None`"),
    ],
    ids=["field", "type", "part", "missing"],
)
def test_what_kserve_would_refuse_is_told(check, before: str, after: str, message: str) -> None:
    text = inference_service("mnist")
    assert before in text
    with pytest.raises(ValueError, match=message):
        check(text.replace(before, after))


def test_the_artifact_has_it(check, artifact: Path) -> None:
    text = (artifact / "serving" / "kserve" / "inferenceservice.yaml").read_text()
    assert check(text)["metadata"]["name"] == artifact.name
    assert f"/v2/models/{triton_name(artifact.name)}/infer" in text


@pytest.mark.parametrize("name", ["mnist", "My Model_2", "9lives", "数字", "", "-a-", "x" * 80, "a" * 39 + "-b"])
def test_any_name_makes_one_that_kubernetes_takes(name: str) -> None:
    made = service_name(name)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", made)
    assert len(made) <= 40
