"""A base path's versions as a server holds them: the newest is loaded, warmed up and served, then the others go.

TF Serving polls a base path for folders named by integers, aspires to the one with the largest number, keeps the old
version until the new one is available, and remembers how versions ended. A version that cannot be loaded, or whose
warm-up fails, ends with its error, and the old one stays.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import error_codes_pb2, saved_model_pb2
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

from tf_serving_conformance.predict import run_predict
from tf_serving_conformance.status import ServingError, not_found

__all__ = ["Model", "Versions"]

State = get_model_status_pb2.ModelVersionStatus
MAX_WARMUP_RECORDS = 1000


@dataclass(frozen=True)
class Model:
    """One loaded version."""

    name: str
    version: int
    loaded: Any
    """As tf.saved_model.load gives it."""
    definitions: Any
    """SignatureDefs by name."""

    @classmethod
    def load(cls, name: str, version: int, folder: Path) -> "Model":
        loaded = tf.saved_model.load(str(folder))
        message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        (graph,) = [graph for graph in message.meta_graphs if "serve" in graph.meta_info_def.tags]
        model = cls(name, version, loaded, graph.signature_def)
        model._warm_up(folder / "assets.extra" / "tf_serving_warmup_requests")
        return model

    def _warm_up(self, path: Path) -> None:
        if not path.exists():
            return
        for count, record in enumerate(tf.data.TFRecordDataset(str(path)), start=1):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            run_predict(self, log.predict_log.request)
            if count > MAX_WARMUP_RECORDS:
                raise ServingError(
                    error_codes_pb2.INVALID_ARGUMENT,
                    f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS}) at {path}",
                )


class Versions:
    """The versions of one model, kept up to date by a thread."""

    def __init__(self, name: str, base_path: Path, poll_seconds: float) -> None:
        self.name = name
        self._base_path = base_path
        self._lock = threading.Lock()
        self._loaded: dict[int, Model] = {}
        self._states: dict[int, State] = {}
        self._poll_seconds = poll_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_polling, daemon=True)
        self.poll()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def find(self, name: str, version: int | None) -> Model:
        """The version asked for, or the newest."""
        with self._lock:
            if name == self.name and version is None and self._loaded:
                return self._loaded[max(self._loaded)]
            if name == self.name and version in self._loaded:
                return self._loaded[version]
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise not_found(f"Servable not found for request: {asked}")

    def states(self, name: str, version: int | None) -> list[State]:
        with self._lock:
            states = dict(self._states) if name == self.name else {}
        if version is not None:
            if version not in states:
                raise not_found(f"Could not find version {version} of model {name}")
            return [states[version]]
        if not states:
            raise not_found(f"Could not find any versions of model {name}")
        return [states[number] for number in sorted(states, reverse=True)]

    def poll(self) -> None:
        """Look at the base path once, and do what it asks for."""
        numbers = [int(path.name) for path in self._base_path.iterdir() if path.name.lstrip("-").isdecimal()]
        if not numbers or max(numbers) in self._loaded:
            aspired = max(numbers, default=None)
        else:
            aspired = max(numbers)
            if not self._try_to_load(aspired):
                return
        with self._lock:
            for version in [version for version in self._loaded if version != aspired and aspired is not None]:
                del self._loaded[version]
                self._set_state(version, State.END)

    def _try_to_load(self, version: int) -> bool:
        with self._lock:
            state = self._states.get(version)
            if state is not None and state.state == State.END and state.status.error_code:
                return False  # it failed before, and TF Serving does not try for ever
            self._set_state(version, State.LOADING)
        try:
            model = Model.load(self.name, version, self._base_path / str(version))
        except Exception as error:  # whatever is wrong with a version, the server goes on with the one it has
            with self._lock:
                self._set_state(version, State.END, getattr(error, "code", None) or error_codes_pb2.UNKNOWN, str(error))
            return False
        with self._lock:
            self._loaded[version] = model
            self._set_state(version, State.AVAILABLE)
        return True

    def _set_state(self, version: int, state: int, code: int = 0, message: str = "") -> None:
        self._states[version] = State(version=version, state=state)
        self._states[version].status.error_code = code
        self._states[version].status.error_message = message

    def _keep_polling(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.poll()
