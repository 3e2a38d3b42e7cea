"""What each form's rounding saves and costs: throughput by form and batch, and class fidelity of every ONNX.

    .venv/bin/python tests/benchmarks/forms.py ARTIFACT [--batches 1,16,256,4096] [--samples 1000] [--no-fidelity]

The artifact is of a run on a data set that is at hand (`cvae-export RUN --out ARTIFACT --forms all`). Times are those
of cvae_export.speed: in turns, medians. Fidelity is cvae-evaluate's, by its classifier; every form decodes the same
latents, in batches of 256, so that differences are the rounding's.
"""

import argparse
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cvae_export.form import Form
from cvae_export.forms import get_forms
from cvae_export.speed import machine, measure_speeds
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import MANIFEST_NAME, Manifest
from cvae_training import load_data_set
from cvae_training.classifier import Classifier, ClassifierConfig, load_classifier
from cvae_training.fidelity import class_shares

BATCH = 256
SEED = 4


def throughput(forms: list[Form], folder: Path, manifest: Manifest, batches: list[int]) -> None:
    speeds = measure_speeds(forms, folder, manifest.latent_dim, len(manifest.classes), batches)
    print(f"images a second on {machine()}")
    print(f"{'form':16}" + "".join(f"{batch:>12}" for batch in batches))
    for name, speed in speeds.items():
        print(f"{name:16}" + "".join(f"{batch / speed.calls[batch]:12,.0f}" for batch in batches))
    if {"onnx", "onnx_int8"} <= speeds.keys() and BATCH in batches:
        times = speeds["onnx"].calls[BATCH] / speeds["onnx_int8"].calls[BATCH]
        print(f"int8 is {times:.2f} times as fast as fp32 at batch {BATCH}")


def fidelity(form: Form, folder: Path, manifest: Manifest, classifier: Classifier, samples: int) -> float:
    (decode,) = [reader.run for reader in form.load(folder / form.path) if reader.signature == "decode"]
    num_classes = len(manifest.classes)
    labels = np.repeat(np.arange(num_classes, dtype=np.int32), samples)
    z = standard_normal_latents(SEED, 0, len(labels), manifest.latent_dim)
    predicted = []
    for start in range(0, len(labels), BATCH):
        part = slice(start, start + BATCH)
        guesses, _ = classifier(decode({"z": z[part], "label": labels[part]})["image"])
        predicted.append(guesses)
    share, _ = class_shares(np.concatenate(predicted), labels, num_classes)
    assert share is not None
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument(
        "--batches", type=lambda text: [int(each) for each in text.split(",")], default=[1, 16, 256, 4096]
    )
    parser.add_argument("--samples", type=int, default=1000, help="for each class")
    parser.add_argument("--no-fidelity", action="store_true")
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    manifest = Manifest.parse((options.artifact / MANIFEST_NAME).read_bytes())
    forms = list(get_forms(tuple(manifest.formats)))
    if not options.no_speed:
        throughput(forms, options.artifact, manifest, options.batches)
    if options.no_fidelity:
        return
    data = load_data_set(manifest.training["data_set"])
    classifier = load_classifier(ClassifierConfig(), data)
    shares = {
        form.name: fidelity(form, options.artifact, manifest, classifier, options.samples)
        for form in forms
        if form.name.startswith("onnx")
    }
    print(f"class fidelity of {options.samples} samples of each class, and its distance from fp32's")
    for name, share in shares.items():
        print(f"{name:16}{share:10.4f}{share - shares.get('onnx', share):+10.4f}")


if __name__ == "__main__":
    main()
