"""examples/notebook.ipynb, run by a kernel of its own: no cell fails, and each shows what is committed with it."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
SIZE_LIMIT = 100_000  # bytes; its pictures are in the repository for good


@pytest.fixture(scope="module")
def committed() -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.fixture(scope="module")
def run(committed: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same notebook, emptied and executed in an empty folder."""
    folder = tmp_path_factory.mktemp("notebook")
    emptied = nbformat.from_dict(committed)
    for cell in code_cells(emptied):
        cell.outputs, cell.execution_count = [], None
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder / name))
        client = NotebookClient(
            emptied, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        return client.execute()


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: Any) -> list[str]:
    return [output.get("text") or output.data["text/plain"] for output in cell.outputs]


def pictures(cell: Any) -> list[np.ndarray]:
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))).astype(int) for each in found]


def test_every_cell_runs_in_order_and_none_warns(run):
    cells = code_cells(run)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"execute_result", "stream"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}


def test_it_prints_what_is_committed(committed, run):
    assert [texts(cell) for cell in code_cells(run)] == [texts(cell) for cell in code_cells(committed)]


def test_its_pictures_are_those_committed(committed, run, tell_count):
    shown = [picture for cell in code_cells(run) for picture in pictures(cell)]
    kept = [picture for cell in code_cells(committed) for picture in pictures(cell)]
    assert len(shown) == len(kept) >= 4
    for picture, expected in zip(shown, kept, strict=True):
        assert np.abs(picture - expected).max() <= 1  # the seed contract's grey level
    tell_count(len(shown), len(kept), "pictures of the notebook are those committed")


def test_cut_and_joined_it_says_is_the_whole(run):
    printed = "".join(text for cell in code_cells(run) for text in texts(cell))
    assert "cut and joined: True\n" in printed
    assert "another seed: False\n" in printed


def test_what_is_committed_is_small_and_of_no_machine(committed):
    assert NOTEBOOK.stat().st_size < SIZE_LIMIT
    assert set(committed.metadata) == {"kernelspec", "language_info"}
    assert committed.metadata.language_info == {"name": "python"}
