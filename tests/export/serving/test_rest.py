"""REST as TF Serving documents it (tensorflow.org/tfx/serving/api_rest), asked of the server that `served` is."""

import base64
import re
import shlex
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tf_serving_client import TOLERANCE, Served, call


def as_json(name: str, value: np.ndarray) -> Any:
    if value.dtype != np.object_:
        return value.tolist()
    return [{"b64": base64.b64encode(item).decode()} for item in value]


def assert_equal(got: Any, expected: np.ndarray) -> None:
    if expected.dtype == np.object_:
        assert [base64.b64decode(item["b64"]) for item in got] == list(expected)
    else:
        np.testing.assert_allclose(np.array(got, expected.dtype), expected, rtol=0, atol=TOLERANCE)


def unnamed(outputs: dict[str, np.ndarray], answer: Any) -> dict[str, Any]:
    """A single output goes without its name."""
    return answer if len(outputs) > 1 else {next(iter(outputs)): answer}


def z_and_label(served: Served, batch: int) -> tuple[list, list]:
    (request,) = [
        request
        for request in served.requests()
        if request.model_spec.signature_name == "decode" and request.inputs["label"].tensor_shape.dim[0].size == batch
    ]
    return tf.make_ndarray(request.inputs["z"]).tolist(), tf.make_ndarray(request.inputs["label"]).tolist()


class TestStatus:
    def test_lists_versions_as_text_with_state_and_code(self, served: Served, tell_server: None) -> None:
        code, answer = call(served.model_url)
        assert code == 200
        assert {
            "version": str(served.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        } in answer["model_version_status"]

    def test_of_one_version_is_its_own(self, served: Served) -> None:
        code, answer = call(f"{served.model_url}/versions/{served.version}")
        assert code == 200
        assert [version["version"] for version in answer["model_version_status"]] == [str(served.version)]

    def test_of_an_unknown_version_is_404(self, served: Served) -> None:
        assert call(f"{served.model_url}/versions/999") == (
            404,
            {"error": f"Could not find version 999 of model {served.name}"},
        )

    def test_of_an_unknown_model_is_404(self, served: Served) -> None:
        assert call(f"{served.url}/v1/models/nobody") == (
            404,
            {"error": "Could not find any versions of model nobody"},
        )


class TestMetadata:
    def test_gives_version_and_every_signature(self, served: Served) -> None:
        code, answer = call(f"{served.model_url}/metadata")
        assert code == 200
        assert answer["model_spec"]["name"] == served.name
        assert answer["model_spec"]["version"] == str(served.version)
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        reference = served.reference.signatures
        assert set(reference) <= set(signatures)
        for name in reference:
            inputs = reference[name].structured_input_signature[1]
            assert set(signatures[name]["inputs"]) == set(inputs)
            assert signatures[name]["method_name"] == "tensorflow/serving/predict"
        z = signatures["decode"]["inputs"]["z"]
        assert z["dtype"] == "DT_FLOAT"
        assert [axis["size"] for axis in z["tensor_shape"]["dim"]] == ["-1", "32"]

    def test_of_one_version_is_the_same(self, served: Served) -> None:
        assert call(f"{served.model_url}/versions/{served.version}/metadata") == call(f"{served.model_url}/metadata")

    @pytest.mark.parametrize(
        ("path", "asked"), [("nobody", "Latest(nobody)"), ("{name}/versions/999", "Specific({name}, 999)")]
    )
    def test_of_what_is_not_there_is_404(self, served: Served, path: str, asked: str) -> None:
        code, answer = call(f"{served.url}/v1/models/{path.format(name=served.name)}/metadata")
        assert (code, answer) == (404, {"error": f"Servable not found for request: {asked.format(name=served.name)}"})


class TestPredict:
    def test_every_signature_answers_in_column_format(self, served: Served) -> None:
        for request in served.requests():
            expected = served.expected(request)
            body = {
                "signature_name": request.model_spec.signature_name,
                "inputs": {name: as_json(name, tf.make_ndarray(t)) for name, t in request.inputs.items()},
            }
            code, answer = call(f"{served.model_url}:predict", body)
            assert code == 200, answer
            assert list(answer) == ["outputs"]
            got = unnamed(expected, answer["outputs"])
            assert set(got) == set(expected)
            for name in expected:
                assert_equal(got[name], expected[name])

    def test_every_signature_answers_in_row_format(self, served: Served) -> None:
        for request in served.requests():
            expected = served.expected(request)
            columns = {name: as_json(name, tf.make_ndarray(t)) for name, t in request.inputs.items()}
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            body = {"signature_name": request.model_spec.signature_name, "instances": rows}
            code, answer = call(f"{served.model_url}:predict", body)
            assert code == 200, answer
            assert list(answer) == ["predictions"]
            for i, row in enumerate(answer["predictions"]):
                got = unnamed(expected, row)
                assert set(got) == set(expected)
                for name in expected:
                    assert_equal([got[name]], expected[name][i : i + 1])

    def test_gives_the_images_that_jax_gave_at_export(self, served: Served) -> None:
        with np.load(served.artifact / "golden.npz", allow_pickle=False) as goldens:
            z, label, image = goldens["z"], goldens["label"], goldens["image"]
        code, answer = call(f"{served.model_url}:predict", {"inputs": {"z": z.tolist(), "label": label.tolist()}})
        assert code == 200
        assert_equal(answer["outputs"], image)

    def test_of_a_version_is_that_of_the_newest_while_it_is_the_newest(self, served: Served) -> None:
        z, label = z_and_label(served, 1)
        body = {"inputs": {"z": z, "label": label}}
        version = f"{served.model_url}/versions/{served.version}:predict"
        assert call(version, body) == call(f"{served.model_url}:predict", body)

    def test_takes_the_requests_on_the_card(self, served: Served) -> None:
        lines = (served.artifact / "README.md").read_text().splitlines()
        requests = [shlex.split(line) for line in lines if line.startswith("curl -d")]
        assert len(requests) >= 2
        for _, option, body, url in requests:
            assert option == "-d"
            code, answer = call(url.replace("http://localhost:8501", served.url), body.encode())
            assert code == 200, answer
            assert list(answer) == ["predictions" if "instances" in body else "outputs"]

    def test_takes_nan_as_the_documentation_says(self, served: Served) -> None:
        z, label = z_and_label(served, 1)
        z[0][0] = float("nan")
        code, answer = call(f"{served.model_url}:predict", {"instances": [{"z": z[0], "label": label[0]}]})
        assert code == 200
        assert np.isnan(np.array(answer["predictions"])).any()


Z = [[0.0] * 32]
MISTAKES = {
    "nothing": (b"", 400, "JSON Parse error: The document is empty"),
    "no JSON": (b"{", 400, "JSON Parse error"),
    "no object": ([1], 400, "Is not object"),
    "no inputs": ({}, 400, "Missing 'inputs' or 'instances' key"),
    "both formats": ({"inputs": {}, "instances": []}, 400, "expecting only one of 'inputs' or 'instances'"),
    "no rows": ({"instances": []}, 400, "No values in 'instances' array"),
    "rows that are no list": ({"instances": {}}, 400, "'instances' to be an list/array"),
    "rows without names": ({"instances": Z}, 400, "multiple input tensors required"),
    "columns without names": ({"inputs": Z}, 400, "multiple input tensors required"),
    "a row that lacks an input": ({"instances": [{"label": 3}]}, 400, "keys must be equal to: label,z"),
    "a column that is missing": ({"inputs": {"z": Z}}, 400, "Missing named input: label in 'inputs' object."),
    "an unknown name": (
        {"instances": [{"z": Z[0], "label": 3, "seed": 1}]},
        400,
        "does not have named input: seed",
    ),
    "rows of different lengths": (
        {"instances": [{"z": Z[0], "label": 3}, {"z": Z[0][:-1], "label": 3}]},
        400,
        "Expecting tensor size: 32 but got: 31",
    ),
    "a ragged column": ({"inputs": {"z": [Z[0], Z[0][:-1]], "label": [3, 3]}}, 400, "unexpected size: 31"),
    "text for a number": ({"inputs": {"z": [["a"] * 32], "label": [3]}}, 400, "is not of expected type: float"),
    "half a label": ({"inputs": {"z": Z, "label": [3.5]}}, 400, "is not of expected type: int32"),
    "a number beyond float32": ({"inputs": {"z": [[1e300] * 32], "label": [3]}}, 400, "without loss of precision"),
    "three labels for two latents": ({"inputs": {"z": [*Z, *Z], "label": [1, 2, 3]}}, 400, ""),
    "latents of another length": ({"inputs": {"z": [[0.0] * 31], "label": [3]}}, 400, ""),
    "an unknown signature": (
        {"signature_name": "paint", "inputs": {}},
        400,
        'Serving signature name: "paint" not found in signature def',
    ),
    "a signature that is no text": ({"signature_name": 3}, 400, "'signature_name' key must be a string value"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_body_is_400_and_told(served: Served, mistake: str) -> None:
    body, code, message = MISTAKES[mistake]
    got, answer = call(f"{served.model_url}:predict", body)
    assert got == code, answer
    assert list(answer) == ["error"]
    assert message in answer["error"]
    assert answer["error"]


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/v1/models/nobody:predict", 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models/{name}/versions/999:predict", 404, "Servable not found for request: Specific({name}, 999)"),
        ("/v1/models/{name}/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("/v1/models/{name}:paint", 400, "Malformed request: POST /v1/models/{name}:paint"),
        ("/v1/models/{name}", 400, "Malformed request: POST /v1/models/{name}"),
        ("/v1/models/{name}/versions/one:predict", 400, "Malformed request: POST "),
    ],
)
def test_a_mistake_in_the_path_is_told(served: Served, path: str, code: int, message: str) -> None:
    got, answer = call(served.url + path.format(name=served.name), {"inputs": {"z": Z, "label": [3]}})
    assert got == code
    assert re.match(re.escape(message.format(name=served.name)), answer["error"])


def test_getting_what_must_be_posted_is_400(served: Served) -> None:
    code, answer = call(f"{served.model_url}:predict")
    assert (code, list(answer)) == (400, ["error"])
    assert answer["error"].startswith("Malformed request: GET ")
