"""A SavedModel whose bytes depend on what it computes alone.

TensorFlow ends the names of functions with a counter of all that the process has drawn so far, lays them out in the
order of a hash, and puts a random number into fingerprint.pb. Here functions are numbered and sorted by name, and the
fingerprint, of which a loader only reports, is left out: the manifest has the hashes.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2

__all__ = ["make_canonical"]

_COUNTER = re.compile(r"_(\d+)$")


def make_canonical(folder: Path) -> None:
    """Write the SavedModel in `folder` again, in its canonical form."""
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    path = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta_graph in message.meta_graphs:
        library = meta_graph.graph_def.library
        names = _numbered([function.signature.name for function in library.function])
        _map_strings(meta_graph, lambda text, names=names: names.get(text, _without_counter(text)))
        for function in library.function:
            _forget_captures_names(function)
        functions = sorted(library.function, key=lambda function: function.signature.name)
        del library.function[:]
        library.function.extend(functions)
    path.write_bytes(message.SerializeToString(deterministic=True))


def _numbered(names: list[str]) -> dict[str, str]:
    """Each name with the process's counter replaced by its place among those that are the same but for it."""
    numbers: dict[str, int] = {}
    result = {}
    for name in sorted(names, key=_count):
        stem = _COUNTER.sub("", name)
        numbers[stem] = numbers.get(stem, -1) + 1
        result[name] = f"{stem}_{numbers[stem]}"
    return result


def _count(name: str) -> int:
    counter = _COUNTER.search(name)
    return int(counter[1]) if counter else -1


def _without_counter(text: str) -> str:
    """The value of _gradient_op_type, PartitionedCall-123, holds a counter too; serving uses no gradient."""
    return re.sub(r"^((?:Stateful)?PartitionedCall)-\d+$", r"\1", text)


def _forget_captures_names(function: Any) -> None:
    """What a function captures is named by a counter too, for messages alone."""
    for argument in function.arg_attr.values():
        if argument.attr["_user_specified_name"].s.isdigit() or not argument.attr["_user_specified_name"].s:
            del argument.attr["_user_specified_name"]


def _map_strings(message: Message, change: Callable[[str], str]) -> None:
    """Replace every text in a message, the keys of maps and those bytes that are text among them."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _map_entries(value, field, change)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                _map_strings(part, change)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            if field.is_repeated:
                value[:] = [_changed(item, change) for item in value]
            else:
                setattr(message, field.name, _changed(value, change))


def _map_entries(entries: Any, field: FieldDescriptor, change: Callable[[str], str]) -> None:
    of_messages = field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE
    for key, value in list(entries.items()):
        if of_messages:
            _map_strings(value, change)
        elif isinstance(value, str):
            entries[key] = change(value)
        if isinstance(key, str) and change(key) != key:
            if of_messages:
                entries[change(key)].CopyFrom(entries[key])
            else:
                entries[change(key)] = entries[key]
            del entries[key]


def _changed(value: str | bytes, change: Callable[[str], str]) -> str | bytes:
    if isinstance(value, str):
        return change(value)
    if len(value) > 200:  # weights, and StableHLO
        return value
    try:
        return change(value.decode()).encode()
    except UnicodeDecodeError:
        return value
