"""The article's training loop, as it describes it: the side that article_loop.py compares with.

A torch DataLoader shuffles images that are made one by one: an array, a Pillow image, a float tensor in [0, 1]. Each
batch of 16 goes through one jitted step, whose losses are added up and printed every 100 steps. AdamW at 1e-4, KL
weight 0.5, 10 epochs. The digits are mnist-10k's; the network is this project's, the article's layer for layer.

It writes its figures to the JSON file that it is told, and saves its parameters beside it with Orbax, which the article
imports for that.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cvae_training.config import DataConfig
from cvae_training.data import load_data_set
from cvae_training.model import Cvae

BATCH_SIZE, LATENT_DIM, NUM_CLASSES, PIXELS, EPOCHS = 16, 32, 10, 784, 10
KL_WEIGHT, LEARNING_RATE, SEED, PRINT_EVERY = 0.5, 1e-4, 0xFFFF, 100


class Digits(Dataset):
    """Images as torchvision's MNIST gives them after ToTensor: float32 [1, 28, 28] in [0, 1], made when asked for."""

    def __init__(self, images, labels):
        self.images = torch.from_numpy(np.array(images[..., 0]))
        self.labels = torch.from_numpy(np.array(labels, np.int64))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        picture = Image.fromarray(self.images[index].numpy())
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], 1).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div(255), int(self.labels[index])


def create_loss_and_step(model, optimizer):
    def loss_fn(params, x, labels, key):
        decoded, mean, logvar = model.apply(params, x, jax.nn.one_hot(labels, NUM_CLASSES), key)
        mse = optax.l2_loss(decoded, x).sum(axis=1).mean()
        kl = jnp.mean(-0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), axis=1))
        return mse + KL_WEIGHT * kl, (mse, kl)

    @jax.jit
    def train_step(params, opt_state, x, labels, key):
        (loss, (mse, kl)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params, x, labels, key)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss, mse, kl

    return loss_fn, train_step


def main() -> None:
    report = Path(sys.argv[1])
    torch.manual_seed(SEED)
    data = load_data_set(DataConfig())
    loader = DataLoader(
        Digits(data.train.images, data.train.labels), batch_size=BATCH_SIZE, shuffle=True, drop_last=True
    )
    key, model_key = jax.random.split(jax.random.PRNGKey(SEED))
    model, optimizer = Cvae(latent_dim=LATENT_DIM), optax.adamw(LEARNING_RATE)
    example = jnp.zeros((BATCH_SIZE, PIXELS)), jnp.zeros((BATCH_SIZE, NUM_CLASSES)), jax.random.PRNGKey(0)
    params = model.init(model_key, *example)
    opt_state = optimizer.init(params)
    loss_fn, train_step = create_loss_and_step(model, optimizer)

    start, first_step, epoch_ends, steps = time.perf_counter(), 0.0, [], 0
    for epoch in range(EPOCHS):
        total_loss, total_mse, total_kl = 0.0, 0.0, 0.0
        for i, (batch, labels) in enumerate(loader):
            key, subkey = jax.random.split(key)
            x, c = batch.numpy().reshape(BATCH_SIZE, PIXELS), labels.numpy()
            params, opt_state, loss, mse, kl = train_step(params, opt_state, x, c, subkey)
            total_loss += loss
            total_mse += mse
            total_kl += kl
            if i > 0 and i % PRINT_EVERY == 0:
                means = (float(total) / PRINT_EVERY for total in (total_loss, total_mse, total_kl))
                print("epoch {} | step {} | loss: {} ~ mse: {}. kl: {}".format(epoch, i, *means))
                total_loss, total_mse, total_kl = 0.0, 0.0, 0.0
            if steps == 0:
                jax.block_until_ready(params)
                first_step = time.perf_counter() - start
            steps += 1
        jax.block_until_ready(params)
        epoch_ends.append(time.perf_counter() - start)

    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(report.with_suffix("").absolute(), params)
    saved = time.time()
    held_out = data.held_out.images.reshape(len(data.held_out), -1).astype(np.float32) / 255
    loss, _ = jax.jit(loss_fn)(params, held_out, data.held_out.labels, jax.random.PRNGKey(1))
    figures = {
        "step": (epoch_ends[-1] - epoch_ends[0]) / (steps * (EPOCHS - 1) / EPOCHS),
        "loop": epoch_ends[-1],
        "loop_compiled": epoch_ends[-1] - first_step,
        "held_out": float(loss),
        "saved_at": saved,
    }
    report.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
