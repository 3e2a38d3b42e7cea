"""The decoder in NumPy, from weights.safetensors alone: README.md has the same lines, and a test holds them equal."""

import json

import numpy as np
from safetensors import safe_open

__all__ = ["generate", "read_weights"]


def read_weights(path):
    """The parameters by name, and what else there is to know of the network."""
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["network"])  # noqa: SIM118


def generate(w, network, z, c):
    """Images in [0, 1] of z ~ N(0, I), [batch, latent_dim], and class weights c, [batch, classes], one-hot or mixed."""

    def sigmoid(x):
        return 0.5 * np.tanh(0.5 * x) + 0.5

    def silu(x):
        return x * sigmoid(x)

    def dense(name, x):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    def convolution(name, x):  # 3 x 3, then each pixel's channels as 2 x 2 pixels
        kernel, (n, height, width, _) = w[f"{name}/kernel"], x.shape
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))
        x = (x + w[f"{name}/bias"]).reshape(n, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, 2 * height, 2 * width, -1)

    activation = silu if network["activation"] == "silu" else lambda x: np.maximum(x, 0)
    for i in range(network["flow_layers"]):  # the learned prior: each layer changes half of the latents
        digit = i // 2 % max(1, (z.shape[1] - 1).bit_length())
        kept = ((np.arange(z.shape[1]) >> digit & 1) ^ (i & 1)).astype(np.float32)
        p = {name: w[f"prior/couplings_{i}/{name}"] for name in ("from_latents", "from_class", "bias", "last_bias")}
        hidden = silu((z * kept) @ p["from_latents"] + p["bias"] + c @ p["from_class"])
        changes = hidden @ w[f"prior/couplings_{i}/scale_and_shift"] + p["last_bias"]
        log_scale, shift = np.split(changes * np.tile(1 - kept, 2), 2, axis=1)
        z = z * np.exp(np.tanh(log_scale)) + shift
    x = dense("post_latent_proj", z) + dense("class_proj", c)
    for i in range(network["dense_layers"]):
        x = dense(f"decoder/Dense_{i}", x)
        x = activation(x) if i + 1 < network["dense_layers"] or network["last_activation"] else x
    height, width, channels = network["image_shape"]
    if layers := network["convolutions"]:
        rows, columns = -(-height // 2**layers), -(-width // 2**layers)
        x = activation(dense("to_image/Dense_0", x)).reshape(len(x), rows, columns, -1)
        for i in range(layers):
            x = convolution(f"to_image/Convolution_{i}", x)
            x = activation(x) if i + 1 < layers else x
        x = x[:, :height, :width]
    if network["likelihood"] == "logistic":  # the mean of a logistic distribution that is cut off at 0 and 1
        scale = np.exp(np.maximum(w["log_scale"], -np.log(510, dtype=np.float32)))
        x = scale * (np.logaddexp(0, x / scale) - np.logaddexp(0, (x - 1) / scale))
    elif network["likelihood"] != "l2":
        x = sigmoid(x)
    return np.clip(x, 0, 1).reshape(len(x), height, width, channels)
