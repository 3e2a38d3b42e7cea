"""NumPy alone, on the form `weights`: nothing else is imported, and nothing is loaded but numbers."""

from collections.abc import Callable

import numpy as np

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.form import require_form
from cvae_sdk.backends.functions import Arrays, Function, FunctionsBackend
from cvae_sdk.backends.numpy_decoder import Decoder
from cvae_sdk.backends.numpy_encoder import PARTS, Encoder
from cvae_sdk.backends.numpy_flow import Flow
from cvae_sdk.backends.numpy_network import Network
from cvae_sdk.backends.numpy_parameters import Parameters
from cvae_sdk.backends.rows import in_pieces
from cvae_sdk.safetensors import read_safetensors

__all__ = ["open_numpy"]

_FORM = "weights"
_NUMBERS_AT_A_TIME = 1 << 20  # 4 MB: what a core's cache holds, about
_UNUSED = "recognizer"  # by training alone


def open_numpy(artifact: Artifact) -> FunctionsBackend:
    """The signatures decode and mix, and encode where the file has the encoder's parameters.

    Raises ArtifactError for an artifact without the form, ModelError for parameters that are not its network's.
    """
    manifest = artifact.manifest
    file = require_form(manifest, _FORM).path
    arrays, metadata = read_safetensors(artifact.read(file), file)
    network = Network.parse(metadata, file, manifest)
    parameters = Parameters(arrays, file)
    flow = Flow.take(parameters, network.flow_layers, manifest.latent_dim, network.classes)
    decoder = Decoder.take(parameters, network, flow, manifest.latent_dim)
    functions = {
        "decode": _in_cache(lambda inputs: {"image": decoder(inputs["z"], inputs["label"])}, decoder.widest),
        "mix": _in_cache(lambda inputs: {"image": decoder(inputs["z"], inputs["class_weights"])}, decoder.widest),
    }
    if parameters.has_any(*PARTS):
        encoder = Encoder.take(parameters, network, flow, manifest.latent_dim)

        def encode(inputs: Arrays) -> Arrays:
            return dict(zip(("mean", "logvar"), encoder(inputs["image"], inputs["label"]), strict=True))

        functions["encode"] = _in_cache(encode, encoder.widest)
    parameters.finish(_UNUSED)
    return FunctionsBackend("NumPy", manifest, functions, survives_fork=True)


def _in_cache(function: Callable[[Arrays], Arrays], widest: int) -> Function:
    most = min(1024, max(16, _NUMBERS_AT_A_TIME // widest))

    def run(inputs: Arrays) -> Arrays:
        with np.errstate(all="ignore"):  # of latents at the edge of float32, as silent as every other runtime
            return in_pieces(function, inputs, most)

    return run
