"""A KServe InferenceService that serves an artifact's Triton model repository.

serving/kserve/inferenceservice.yaml    serving.kserve.io/v1beta1; its user sets storageUri
"""

import re
from pathlib import Path

from cvae_export.triton import triton_name

__all__ = ["inference_service", "service_name", "write_kserve"]

_LONGEST_NAME = 40
"""A host name of KServe's holds the service's name and the namespace's in one label of 63 characters."""


def write_kserve(folder: Path, name: str) -> None:
    """Write the InferenceService of the artifact `folder`, called `name`."""
    path = folder / "serving" / "kserve" / "inferenceservice.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(inference_service(name), encoding="ascii", newline="\n")


def service_name(name: str) -> str:
    """What KServe calls the service: small letters, digits and hyphens, a letter first."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (words if words[:1].isalpha() else f"cvae-{words}")[:_LONGEST_NAME].strip("-")


def inference_service(name: str) -> str:
    """The YAML of the service of an artifact called `name`."""
    return f"""\
# Put the folder serving/triton where the cluster can read it, set storageUri to that place, and
# kubectl apply -f inferenceservice.yaml. Then POST to /v2/models/{triton_name(name)}/infer at the service's address.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service_name(name)}
spec:
  predictor:
    model:
      modelFormat:
        name: onnx
        version: "1"
      protocolVersion: v2
      runtime: kserve-tritonserver
      storageUri: pvc://YOUR-CLAIM/{triton_name(name)}/serving/triton
"""
