"""An artifact's report: one HTML page with its samples, its parity and, where they were measured, its speeds.

It fetches nothing and needs no script. Without speeds, the same artifact gives the same bytes.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from cvae_export.differences import DifferenceLog, Differences
from cvae_export.speed import Speed, machine
from cvae_sdk.images import tile
from cvae_sdk.manifest import Format, Manifest

__all__ = ["REPORT_NAME", "SAMPLES_PER_CLASS", "report_page"]

REPORT_NAME = "report.html"
SAMPLES_PER_CLASS = 10
_MOST_ROWS = 24
_PIXELATED_BELOW = 64


def report_page(
    manifest: Manifest,
    samples: np.ndarray,
    sizes: Mapping[str, int],
    differences: Mapping[str, DifferenceLog],
    speeds: Mapping[str, Speed] | None = None,
) -> str:
    """The page of an artifact.

    `samples` are uint8 [classes * SAMPLES_PER_CLASS, height, width, channels], those of each class in turn; `sizes`
    has the bytes of each form, `differences` those of each form that gives images, `speeds` what was measured on this
    machine.
    """
    page = Template((files("cvae_export") / "report_page.html").read_text(encoding="utf-8"))
    sections = (
        _heading(manifest),
        _samples(manifest, samples),
        _forms(manifest, sizes),
        _parity(manifest, differences),
        _speeds(speeds),
    )
    return page.substitute(title=escape(f"{manifest.name}: export"), body="\n".join(sections))


def _heading(manifest: Manifest) -> str:
    height, width, channels = manifest.image_shape
    what = (
        f"The decoder of a class-conditional variational autoencoder: {manifest.latent_dim} latents and one of "
        f"{len(manifest.classes)} classes in, an image of {height} x {width} {'grey' if channels == 1 else 'RGB'} "
        f"pixels out. Version {manifest.version}, exported {manifest.created}."
    )
    return f"<h1>{escape(manifest.name)}</h1>\n<p>{escape(what)}</p>"


def _samples(manifest: Manifest, samples: np.ndarray) -> str:
    count = len(manifest.classes)
    some = sorted(set(np.linspace(0, count - 1, min(count, _MOST_ROWS)).round().astype(int).tolist()))
    rows = samples.reshape(count, SAMPLES_PER_CLASS, *samples.shape[1:])
    body = "".join(
        f'<span aria-hidden="true">{escape(manifest.classes[label])}</span>'
        f"{_strip(rows[label], f'{SAMPLES_PER_CLASS} samples of class {manifest.classes[label]}')}"
        for label in some
    )
    shown = f" {len(some)} of {count} classes." if len(some) < count else ""
    return (
        f'<h2>Samples</h2>\n<p class="quiet">Latents from N(0, I), decoded as each class by JAX.{shown}</p>\n'
        f'<div class="pictures">{body}</div>'
    )


def _strip(images: np.ndarray, text: str) -> str:
    picture, content = tile(images, columns=len(images)), io.BytesIO()
    picture.save(content, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    kind = ' class="pixels"' if max(images.shape[1:3]) < _PIXELATED_BELOW else ""
    return f'<img{kind} src="{uri}" width="{picture.width}" height="{picture.height}" alt="{escape(text)}">'


def _forms(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    rows = [
        [
            name,
            form.path,
            f"{sizes[name]:,}",
            ", ".join(form.signatures),
            ", ".join(f"{library} {version}" for library, version in sorted(form.written_by.items())),
            _standing(form),
        ]
        for name, form in sorted(manifest.formats.items())
    ]
    heads = ("form", "path", "bytes", "signatures", "written by", "read by")
    return f"<h2>Forms</h2>\n{_table(heads, rows, kind='forms')}"


def _standing(form: Format) -> str:
    """Which runtimes read a form, as far as the manifest says."""
    said = [f"{runtime} {version} or newer" for runtime, version in (form.oldest_runtime or {}).items()]
    if form.opset is not None:
        said.append(f"opset {form.opset}")
    if form.stablehlo_version is not None:
        said.append(f"StableHLO {form.stablehlo_version}")
    if form.expires is not None:
        said.append(f"promised until {form.expires}")
    return "; ".join(said) or "-"


def _parity(manifest: Manifest, differences: Mapping[str, DifferenceLog]) -> str:
    height, width, channels = manifest.image_shape
    pixels = height * width * channels
    names = sorted(name for name, log in differences.items() if len(log))
    overall = [[name, *_figures(differences[name].overall(), pixels, levels=(0, 1, 8))] for name in names]
    heads = ("form", "images", "largest", "mean", "pixels off", "by more than 1", "by more than 8")
    details = []
    for name in names:
        log = differences[name]
        rows = [[f"batch {size}", *_figures(found, pixels)] for size, found in log.by_batch().items()]
        rows += [
            [f"class {manifest.classes[label]}", *_figures(found, pixels)] for label, found in log.by_class().items()
        ]
        details.append(
            f"<figure><h4>{escape(name)}</h4>{_table(('', 'images', 'largest', 'mean', 'pixels off'), rows)}</figure>"
        )
    return (
        '<h2>Parity</h2>\n<p class="quiet">Each form, run in its own runtime, against the JAX model. Largest and mean '
        "difference are of pixels in [0, 1]; a pixel is off where its grey level of 256 is another one.</p>\n"
        f"{_table(heads, overall)}\n"
        '<h3 class="apart">By batch size and by class</h3>\n'
        f'<div class="columns wide">{"".join(details)}</div>'
    )


def _figures(found: Differences, pixels: int, levels: Sequence[int] = (0,)) -> list[str]:
    shares = {0: found.off, 1: found.off_by_more_than_1, 8: found.off_by_more_than_8}
    counted = [_counted(shares[by], found.images * pixels) for by in levels]
    return [f"{found.images:,}", *(f"{error:.1e}" if error else "0" for error in (found.largest, found.mean)), *counted]


def _counted(share: float, of: int) -> str:
    count = round(share * of)
    return f"{count:,} ({100 * share:.2g} %)" if count else "0"


def _speeds(speeds: Mapping[str, Speed] | None) -> str:
    if not speeds:
        return (
            '<h2>Speed</h2>\n<p class="quiet">Not measured: <code>cvae-export RUN --out DIR --timings</code> does, on '
            "the machine that exports, and two exports then differ in this section.</p>"
        )
    sizes = tuple(next(iter(speeds.values())).calls)
    rows = [
        [name, *(f"{1000 * seconds:,.3g}" for seconds in (speed.load, speed.first_call, *speed.calls.values()))]
        for name, speed in sorted(speeds.items())
    ]
    heads = ("form", "open", "first call", *(f"batch {size}" for size in sizes))
    charts = "".join(
        f"<figure><h3>Images a second at batch {size}</h3>"
        f"{_bars({name: size / speed.calls[size] for name, speed in sorted(speeds.items())})}</figure>"
        for size in sizes
    )
    return (
        f'<h2>Speed</h2>\n<p class="quiet">Milliseconds, of <code>decode</code>, on {escape(machine())}: to open the '
        "form's files with its library imported, of the first call (one image), and of the median call at each batch "
        f'size.</p>\n{_table(heads, rows)}\n<div class="columns apart">{charts}</div>'
    )


def _bars(values: Mapping[str, float]) -> str:
    most = max(values.values())
    rows = "".join(
        f"<span>{escape(name)}</span>"
        f'<span class="track"><span class="bar" style="width:{100 * value / most:.1f}%"></span></span>'
        f'<span class="value">{value:,.0f}</span>'
        for name, value in values.items()
    )
    return f'<div class="bars">{rows}</div>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
