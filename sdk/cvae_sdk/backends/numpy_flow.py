"""The learned prior in NumPy, both ways: an invertible map from noise to the latents of a class.

    x_0 = z ~ N(0, I)        each layer keeps some latents k and changes the others
    x'  = x exp(s) + t       s = tanh(S), (S, t) = network(x_k, c): Dinh, Sohl-Dickstein & Bengio 2017
    x   = (x' - t) exp(-s)   the inverse; its differential, with h the network's hidden values before silu,
    dx  = (dx' - dt) exp(-s) - x ds        dh = dx_k W        (dS, dt) = silu'(h) dh V        ds = (1 - s^2) dS

Of each layer's parameters only those are held that matter: the rows of kept latents, the columns of changed ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.numpy_layers import sigmoid, silu
from cvae_sdk.backends.numpy_parameters import Floats, Parameters

__all__ = ["Classes", "Coupling", "Flow", "project"]

Classes = npt.NDArray[np.int32] | Floats
"""Labels [batch], or class weights [batch, classes]."""

_ONE = np.float32(1)


def project(c: Classes, kernel: Floats) -> Floats:
    """The product of class weights and a kernel; of a label, its row, which is the product of the one-hot."""
    given: Any = c  # NumPy has no type for an index that may be labels
    product: Floats = kernel[given] if c.ndim == 1 else given @ kernel
    return product


@dataclass(frozen=True)
class Coupling:
    """One layer."""

    kept: npt.NDArray[np.intp]
    changed: npt.NDArray[np.intp]
    from_latents: Floats
    from_class: Floats
    bias: Floats
    scale_and_shift: Floats
    last_bias: Floats

    @classmethod
    def take(cls, parameters: Parameters, layer: int, latent_dim: int, classes: int) -> "Coupling":
        """Layer `layer` of the prior's; layers come in pairs, parted by a binary digit of the latents' index."""
        name = f"prior/couplings_{layer}"
        digit = layer // 2 % max(1, (latent_dim - 1).bit_length())
        is_kept = ((np.arange(latent_dim) >> digit & 1) ^ (layer & 1)).astype(bool)
        kept, changed = np.flatnonzero(is_kept), np.flatnonzero(~is_kept)
        columns = np.concatenate([changed, latent_dim + changed])
        from_latents = parameters.take(f"{name}/from_latents", latent_dim, "width")
        width = from_latents.shape[1]
        return cls(
            kept, changed, from_latents[kept],
            parameters.take(f"{name}/from_class", classes, width),
            parameters.take(f"{name}/bias", width),
            np.ascontiguousarray(parameters.take(f"{name}/scale_and_shift", width, 2 * latent_dim)[:, columns]),
            parameters.take(f"{name}/last_bias", 2 * latent_dim)[columns],
        )  # fmt: skip

    def forward(self, x: Floats, c: Classes) -> None:
        """Change x [batch, latent_dim] in place."""
        log_scale, shift = self._changes(silu(self._hidden(x, c)))
        x[:, self.changed] = x[:, self.changed] * np.exp(log_scale) + shift

    def inverse(self, x: Floats, directions: Floats, c: Classes) -> None:
        """Undo it in place, and take directions [directions, batch, latent_dim] at x along."""
        hidden = self._hidden(x, c)
        gate = sigmoid(hidden.copy())
        log_scale, shift = self._changes(hidden * gate)
        scale: Floats = np.exp(-log_scale)
        undone: Floats = (x[:, self.changed] - shift) * scale
        slope = gate * (_ONE + hidden * (_ONE - gate))
        moved: Floats = directions[..., self.kept] @ self.from_latents
        moved *= slope
        moved = moved @ self.scale_and_shift
        half = len(self.changed)
        log_scale_moved = moved[..., :half] * (_ONE - log_scale * log_scale)
        directions[..., self.changed] = (
            directions[..., self.changed] - moved[..., half:]
        ) * scale - undone * log_scale_moved
        x[:, self.changed] = undone

    def _hidden(self, x: Floats, c: Classes) -> Floats:
        hidden: Floats = x[:, self.kept] @ self.from_latents
        hidden += self.bias
        hidden += project(c, self.from_class)
        return hidden

    def _changes(self, hidden: Floats) -> tuple[Floats, Floats]:
        changes: Floats = hidden @ self.scale_and_shift
        changes += self.last_bias
        half = len(self.changed)
        log_scale: Floats = np.tanh(changes[:, :half])
        return log_scale, changes[:, half:]


@dataclass(frozen=True)
class Flow:
    """All layers; none where no prior is learned."""

    couplings: tuple[Coupling, ...]

    @classmethod
    def take(cls, parameters: Parameters, layers: int, latent_dim: int, classes: int) -> "Flow":
        """The prior of so many layers."""
        return cls(tuple(Coupling.take(parameters, layer, latent_dim, classes) for layer in range(layers)))

    def latents(self, z: Floats, c: Classes) -> Floats:
        """The latents that the prior makes of z ~ N(0, I)."""
        if self.couplings:
            z = z.copy()
        for coupling in self.couplings:
            coupling.forward(z, c)
        return z

    def noise(self, mean: Floats, logvar: Floats, c: Classes) -> tuple[Floats, Floats]:
        """The z of a posterior's mean, and the log-variances of z to first order in the posterior's spread.

        J diag(exp(logvar)) J^T with the inverse's Jacobian J at the mean has the second's exp on its diagonal.
        """
        if not self.couplings:
            return mean, logvar
        z = mean.copy()
        n, latent_dim = mean.shape
        directions = np.zeros((latent_dim, n, latent_dim), np.float32)
        each = np.arange(int(latent_dim))
        directions[each, :, each] = np.exp(np.float32(0.5) * logvar).T
        for coupling in reversed(self.couplings):
            coupling.inverse(z, directions, c)
        return z, np.log(np.square(directions).sum(axis=0))
