"""A run's report: one HTML file with its settings, curves and pictures, that fetches nothing and needs no script.

The same run gives the same bytes.
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from cvae_training.bound_model import BoundModel, load
from cvae_training.data import DataSet, load_data_set
from cvae_training.errors import RunError
from cvae_training.evaluate import Evaluation
from cvae_training.evaluation_table import format_table
from cvae_training.line_chart import line_chart
from cvae_training.report_pictures import Row, between_classes, evenly, reconstructions, samples, within_classes
from cvae_training.run import RunFolder

__all__ = ["REPORT_NAME", "write_report"]

REPORT_NAME = "report.html"
_PARTS = {"train": "training", "held_out": "held out"}
_MOST_ROWS, _MOST_WAYS = 24, 6
_PIXELATED_BELOW = 64


def write_report(folder: Path, data: DataSet | None = None, evaluation: Evaluation | None = None) -> Path:
    """Write the report of the run in `folder` there, whole or not at all, and give its path.

    `data` is the run's data set, if it has been loaded already; `evaluation` adds its figures. Raises RunError for a
    run without a checkpoint, other data or a folder that cannot be written, DataError for data that cannot be loaded.
    """
    model, lines = load(folder), RunFolder.open(folder).metrics()
    data = data or load_data_set(model.run.config.data)
    model.run.require_data(data)
    page = Template((files("cvae_training") / "report_page.html").read_text(encoding="utf-8"))
    sections = [
        _heading(folder, model, lines),
        _curves(model, lines),
        _pictures(model, data),
        _evaluation(evaluation),
        _settings(model),
    ]
    title = escape(f"{folder.resolve().name}: {data.name}")
    return _write(folder / REPORT_NAME, page.substitute(title=title, body="\n".join(filter(None, sections))))


def _heading(folder: Path, model: BoundModel, lines: Sequence[dict[str, Any]]) -> str:
    run, config = model.run, model.run.config
    height, width, channels = run.image_shape
    what = (
        f"{config.data.data_set}: {run.images['train']:,} images of {height} x {width} "
        f"{'grey' if channels == 1 else 'RGB'} pixels trained on, {run.images['held_out']:,} held out, "
        f"{len(run.classes)} classes."
    )
    return f"<h1>{escape(folder.resolve().name)}</h1>\n<p>{escape(what)} {escape(_how_far(model, lines))}</p>"


def _how_far(model: BoundModel, lines: Sequence[dict[str, Any]]) -> str:
    config = model.run.config
    if not lines:
        return f"Stopped in the first of {config.epochs} epochs."
    epoch, used = lines[-1]["epoch"], model.run.metrics[-1]["epoch"] if model.run.metrics else 0
    told = f"Trained for {epoch} of {config.epochs} epochs, {lines[-1]['step']:,} steps of {config.batch_size} images"
    if epoch < config.epochs and config.patience and used <= epoch - config.patience:
        told += f"; stopped early after {config.patience} epochs without a lower held-out loss"
    if used < epoch:
        told += f". The parameters are those after epoch {used}"
    if config.optimizer.ema_decay:
        told += ", averaged over steps"
    return told + "."


def _curves(model: BoundModel, lines: Sequence[dict[str, Any]]) -> str:
    if not lines:
        return ""
    used = model.run.metrics[-1]["epoch"] if model.run.metrics else None
    marked = used if used != lines[-1]["epoch"] else None
    epochs = [line["epoch"] for line in lines]
    texts = {
        "loss": f"reconstruction + {model.run.config.objective.kl_weight:g} kl, what is minimized",
        "mse": "half the squared error, summed over pixels",
        "kl": "from the posterior to N(0, I)",
    }
    charts = []
    for name, text in texts.items():
        curves = {shown: [line[part][name] for line in lines] for part, shown in _PARTS.items()}
        charts.append(
            f"<figure><h3>{name}</h3><figcaption>{escape(text)}</figcaption>"
            f"{line_chart(name, epochs, curves, marked)}</figure>"
        )
    key = '<span class="key"></span>training <span class="key two"></span>held out'
    best = min(lines, key=lambda line: line["held_out"]["loss"])
    told = f"The first tenth may go beyond the upper edge. The held-out loss was lowest after epoch {best['epoch']}."
    if marked is not None:
        told += f" Dotted: epoch {marked}, whose parameters are used."
    columns = {
        f"{shown}, epoch {line['epoch']}": line[part] for line in (best, lines[-1]) for part, shown in _PARTS.items()
    }
    figures = [[name, *(f"{column[name]:.2f}" for column in columns.values())] for name in texts]
    return (
        f'<h2>Curves</h2>\n<p class="quiet">Nats per image. {key}. {told}</p>\n'
        f'<div class="columns">{"".join(charts)}</div>\n{_numbers(["", *columns], figures)}'
    )


def _pictures(model: BoundModel, data: DataSet) -> str:
    some, ways = evenly(len(model.classes), _MOST_ROWS), evenly(len(model.classes), _MOST_WAYS)
    shown = f" {len(some)} of {len(model.classes)} classes." if len(some) < len(model.classes) else ""
    sections = [
        (
            "Held-out images and their reconstructions",
            f"Beside each original what the network makes of it, by the posterior's mean.{shown}",
            reconstructions(model, data.held_out, some),
        ),
        ("Samples", f"Latents from N(0, I), decoded as each class.{shown}", samples(model, some)),
        (
            "Within a class",
            "On a straight line between the latents of two held-out images of one class.",
            within_classes(model, data.held_out, ways),
        ),
        (
            "Between classes",
            "On a straight line from the latents and the class of one held-out image to those of another.",
            between_classes(model, data.held_out, ways),
        ),
    ]
    figures = [
        f"<figure><h3>{escape(name)}</h3><figcaption>{escape(text)}</figcaption>"
        f"{_rows(rows, model.image_shape)}</figure>"
        for name, text, rows in sections
        if rows
    ]
    return f'<h2>Pictures</h2>\n<div class="columns wide">{"".join(figures)}</div>'


def _rows(rows: Sequence[Row], image_shape: tuple[int, int, int]) -> str:
    kind = ' class="pixels"' if max(image_shape[:2]) < _PIXELATED_BELOW else ""
    body = "".join(
        f'<span aria-hidden="true">{escape(row.name)}</span><img{kind} src="{row.strip.uri}" width="{row.strip.width}" '
        f'height="{row.strip.height}" alt="{escape(row.text)}">'
        for row in rows
    )
    return f'<div class="pictures">{body}</div>'


def _evaluation(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    return f'<h2>Evaluation</h2>\n<pre tabindex="0">{escape(format_table(evaluation))}</pre>'


def _settings(model: BoundModel) -> str:
    values = model.run.config.to_dict()
    groups = {name: value for name, value in values.items() if isinstance(value, dict)}
    groups["training"] = {name: value for name, value in values.items() if not isinstance(value, dict)}
    groups["versions"] = dict(model.run.versions)
    tables = [f"<section><h3>{escape(name)}</h3>{_pairs(group.items())}</section>" for name, group in groups.items()]
    return f'<h2>Settings and versions</h2>\n<div class="columns">{"".join(tables)}</div>'


def _pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(_shown(value))}</td></tr>' for name, value in pairs)
    return f"<table>{''.join(rows)}</table>"


def _numbers(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    table = f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"


def _write(path: Path, text: str) -> Path:
    new = ""
    try:
        descriptor, new = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(new).chmod(0o644)
        Path(new).rename(path)
    except OSError as error:
        with suppress(OSError):
            Path(new).unlink()
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    return path
