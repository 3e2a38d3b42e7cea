"""An ONNX model held against its manifest before any runtime sees it, and without running or copying any of it.

A runtime takes much without a word: a flipped bit in a weight, a model of other names, one that reads other files.
What is let through has the inputs and outputs that the signature says, one graph of known operators with each value
made once and before it is used, constants that are whole and finite, and not one field that is not known. Nothing
that is not in cvae-export's own models is let through: no functions, no graph in a graph, no training, no tensors in
other files, no sparse or quantized annotations, no metadata but the quantizer's mark (ONNX Runtime looks for settings
of its own there).
"""

from collections.abc import Mapping

from cvae_sdk.errors import ModelError, named, one_line
from cvae_sdk.manifest_parts import Signature, TensorSpec
from cvae_sdk.onnx_operators import MASKING, OPERATORS, check_sizes
from cvae_sdk.onnx_tensor import DTYPES, MAX_DIMENSION, MAX_RANK, Constant, read_constant
from cvae_sdk.protobuf import Message, Refused, Schema, read_message

__all__ = ["MAX_MODEL_BYTES", "OPSETS", "check_onnx"]

MAX_MODEL_BYTES = (1 << 31) - 1
"""What Protocol Buffers can hold."""
OPSETS = range(7, 22)
"""From the oldest that ONNX Runtime promises to the newest that its oldest supported version knows."""
_IR_VERSIONS = range(3, 11)
_TEXT = 1024
_MAX_NODES = 10_000
_MAX_CONSTANTS = 10_000
_INPUTS_ARE_CONSTANTS_TOO = 9  # tf2onnx lists constants among the inputs at opsets before this
_DOMAINS = ("", "ai.onnx.ml")  # the second is tf2onnx's habit; no node may be of it

_MODEL: Schema = {
    1: ("ir_version", "int"), 2: ("producer_name", "text"), 3: ("producer_version", "text"), 4: ("domain", "text"),
    5: ("model_version", "int"), 6: ("doc_string", "text"), 7: ("graph", "message"), 8: ("opset_import", "messages"),
    14: ("metadata_props", "messages"), 20: ("training_info", "messages"), 25: ("functions", "messages"),
}  # fmt: skip
_METADATA: Schema = {1: ("key", "text"), 2: ("value", "text")}
_MARKS = ("onnx.infer",)  # what ONNX Runtime's quantizer writes, and nothing reads
_OPSET: Schema = {1: ("domain", "text"), 2: ("version", "int")}
_GRAPH: Schema = {
    1: ("node", "messages"), 2: ("name", "text"), 5: ("initializer", "messages"), 10: ("doc_string", "text"),
    11: ("input", "messages"), 12: ("output", "messages"), 13: ("value_info", "messages"),
    14: ("quantization_annotation", "messages"), 15: ("sparse_initializer", "messages"),
}  # fmt: skip
_NODE: Schema = {
    1: ("input", "texts"), 2: ("output", "texts"), 3: ("name", "text"), 4: ("op_type", "text"),
    5: ("attribute", "messages"), 6: ("doc_string", "text"), 7: ("domain", "text"),
}  # fmt: skip
_ATTRIBUTE: Schema = {
    1: ("name", "text"), 2: ("f", "float"), 3: ("i", "int"), 4: ("s", "text"), 5: ("t", "message"),
    6: ("g", "message"), 7: ("floats", "floats"), 8: ("ints", "ints"), 11: ("graphs", "messages"),
    13: ("doc_string", "text"), 20: ("type", "int"), 21: ("ref_attr_name", "text"),
}  # fmt: skip
_VALUE: Schema = {1: ("name", "text"), 2: ("type", "message"), 3: ("doc_string", "text")}
_TYPE: Schema = {1: ("tensor_type", "message")}
_TENSOR_TYPE: Schema = {1: ("elem_type", "int"), 2: ("shape", "message")}
_SHAPE: Schema = {1: ("dim", "messages")}
_DIM: Schema = {1: ("dim_value", "int"), 2: ("dim_param", "text")}

_NEVER = {
    "training_info": "no training", "functions": "no functions",
    "value_info": "no value_info", "quantization_annotation": "no quantization", "sparse_initializer": "no sparse ones",
    "g": "no graph inside", "graphs": "no graph inside", "ref_attr_name": "no reference",
}  # fmt: skip
_ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints"}


def check_onnx(content: bytes, file: str, signature: Signature, opset: int | None) -> None:
    """ModelError unless the bytes of `file` are a model of that signature, at that opset, that may be run."""
    try:
        _Reader(content).check(signature, opset)
    except Refused as error:
        raise ModelError(
            f"{file}: {named(error.field)} must be {error.expected}, got {one_line(error.found)}: "
            "no model that may be run",
            file=file, field=error.field, expected=error.expected, found=error.found,
        ) from error  # fmt: skip


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._constants: dict[str, Constant] = {}

    def check(self, signature: Signature, opset: int | None) -> None:
        model = self._read((0, len(self._content)), _MODEL, "model")
        if model.integer("ir_version") not in _IR_VERSIONS:
            raise Refused(
                "model.ir_version", f"from {_IR_VERSIONS[0]} to {_IR_VERSIONS[-1]}", model.integer("ir_version")
            )
        found = self._opset(model)
        if opset is not None and found != opset:
            raise Refused("model.opset_import", f"{opset}, as the manifest says", found)
        for span in model.spans.get("metadata_props", ()):
            if (key := self._read(span, _METADATA, "model.metadata_props").text("key")) not in _MARKS:
                raise Refused("model.metadata_props", f"{_MARKS[0]} alone", key)
        if "graph" not in model.spans:
            raise Refused("model.graph", "there", None)
        graph = self._read(model.spans["graph"][0], _GRAPH, "graph")
        self._read_constants(graph)
        inputs = self._values(graph, "input")
        if found < _INPUTS_ARE_CONSTANTS_TOO:
            inputs = {name: value for name, value in inputs.items() if name not in self._constants}
        outputs = self._values(graph, "output")
        _compare("input", inputs, signature.inputs)
        _compare("output", outputs, signature.outputs)
        made = self._check_nodes(graph, inputs)
        if unmade := sorted(outputs.keys() - made):
            raise Refused("graph.output", "made by a node", unmade[0])

    def _read(self, span: tuple[int, int], schema: Schema, where: str) -> Message:
        message = read_message(self._content, span, schema, where, _TEXT)
        for name in message.names() & _NEVER.keys():
            raise Refused(f"{where}.{name}", f"absent: a model has {_NEVER[name]}", "it there")
        return message

    def _opset(self, model: Message) -> int:
        opsets: dict[str, int] = {}
        for span in model.spans.get("opset_import", ()):
            each = self._read(span, _OPSET, "model.opset_import")
            if each.text("domain") in opsets or each.text("domain") not in _DOMAINS:
                raise Refused("model.opset_import", "ONNX's default domain, once", each.text("domain"))
            opsets[each.text("domain")] = each.integer("version")
        if opsets.get("") not in OPSETS:
            raise Refused("model.opset_import", f"from {OPSETS[0]} to {OPSETS[-1]}", opsets.get(""))
        return opsets[""]

    def _read_constants(self, graph: Message) -> None:
        spans = graph.spans.get("initializer", [])
        if len(spans) > _MAX_CONSTANTS:
            raise Refused("graph.initializer", f"at most {_MAX_CONSTANTS}", len(spans))
        for span in spans:
            constant = read_constant(self._content, span, "constant")
            if not constant.name or constant.name in self._constants:
                raise Refused("graph.initializer", "named, each otherwise", constant.name)
            self._constants[constant.name] = constant

    def _values(self, graph: Message, kind: str) -> dict[str, tuple[str, list[int | str]]]:
        """Dtype and shape of the graph's inputs or outputs, a free axis as "batch"."""
        values: dict[str, tuple[str, list[int | str]]] = {}
        for span in graph.spans.get(kind, ()):
            value = self._read(span, _VALUE, f"graph.{kind}")
            name = value.text("name")
            where = f"graph.{kind} {name}"
            if not name or name in values:
                raise Refused(f"graph.{kind}", "named, each otherwise", name)
            values[name] = self._tensor_type(value, where)
        return values

    def _tensor_type(self, value: Message, where: str) -> tuple[str, list[int | str]]:
        place = value
        for name, schema in (("type", _TYPE), ("tensor_type", _TENSOR_TYPE)):
            if name not in place.spans:
                raise Refused(f"{where}.type", "of a tensor", None)
            place = self._read(place.spans[name][0], schema, f"{where}.type")
        if "shape" not in place.spans:
            raise Refused(f"{where}.shape", "there", None)
        spans = self._read(place.spans["shape"][0], _SHAPE, f"{where}.shape").spans.get("dim", [])
        if len(spans) > MAX_RANK:
            raise Refused(f"{where}.shape", f"of at most {MAX_RANK} axes", len(spans))
        axes = [self._read(span, _DIM, f"{where}.shape") for span in spans]
        shape: list[int | str] = [axis.integer("dim_value") if "dim_value" in axis.ints else "batch" for axis in axes]
        if wrong := [size for size in shape if isinstance(size, int) and not 0 < size <= MAX_DIMENSION]:
            raise Refused(f"{where}.shape", f"from 1 to {MAX_DIMENSION}", wrong[0])
        return DTYPES.get(place.integer("elem_type"), f"type {place.integer('elem_type')}"), shape

    def _check_nodes(self, graph: Message, inputs: Mapping[str, object]) -> set[str]:
        """That each value is made once, and before it is used; gives the names of those that nodes make."""
        spans = graph.spans.get("node", [])
        if len(spans) > _MAX_NODES:
            raise Refused("graph.node", f"at most {_MAX_NODES}", len(spans))
        known = {*inputs, *self._constants}
        if len(known) != len(inputs) + len(self._constants):
            raise Refused("graph.input", "no constant too", sorted(inputs.keys() & self._constants.keys())[0])
        integers = {name: each.integers for name, each in self._constants.items() if each.integers is not None}
        not_finite = {name for name, each in self._constants.items() if not each.finite}
        made: set[str] = set()
        for number, span in enumerate(spans):
            node = self._read(span, _NODE, f"node {number}")
            operator = node.text("op_type")
            where = f"node {number} {operator}"
            if node.text("domain") or operator not in OPERATORS:
                raise Refused(
                    where, "an operator that cvae-export writes", f"{node.text('domain')}.{operator}".strip(".")
                )
            taken, given = node.texts.get("input", []), node.texts.get("output", [])
            if unknown := [name for name in taken if name not in known]:  # "" too: ONNX Runtime may crash where it is
                raise Refused(f"{where}.input", "made before", unknown[0])
            if operator not in MASKING and not not_finite.isdisjoint(taken):
                raise Refused(f"{where}.input", "finite", sorted(not_finite.intersection(taken))[0])
            check_sizes(where, operator, taken, integers, self._attributes(node, where, operator))
            for name in given:
                if not name or name in known:
                    raise Refused(f"{where}.output", "named, and made once", name)
                known.add(name)
                made.add(name)
        return made

    def _attributes(self, node: Message, where: str, operator: str) -> dict[str, list[int]]:
        """The integers of a node's attributes, each attribute of a known type, and said once."""
        integers: dict[str, list[int]] = {}
        names: set[str] = set()
        for span in node.spans.get("attribute", ()):
            attribute = self._read(span, _ATTRIBUTE, f"{where}.attribute")
            name = attribute.text("name")
            kind = _ATTRIBUTE_TYPES.get(attribute.integer("type"))
            if not name or name in names:
                raise Refused(f"{where}.attribute", "named, each otherwise", name)
            names.add(name)
            extra = attribute.names() - {"name", "type", "doc_string", kind}
            if kind is None or extra:
                raise Refused(f"{where}.{name}", "of one known type", sorted(extra) or attribute.integer("type"))
            if any(value != value for value in (*attribute.floats.get("f", ()), *attribute.floats.get("floats", ()))):
                raise Refused(f"{where}.{name}", "a number", "NaN")
            if kind == "t" and "t" in attribute.spans:
                constant = read_constant(self._content, attribute.spans["t"][0], f"{where}.{name}")
                if not constant.finite and operator not in MASKING:
                    raise Refused(f"{where}.{name}", "finite", "NaN or infinity")
            integers[name] = [*attribute.ints.get("i", ()), *attribute.ints.get("ints", ())]
        return integers


def _compare(kind: str, found: Mapping[str, tuple[str, list[int | str]]], expected: Mapping[str, TensorSpec]) -> None:
    if found.keys() != expected.keys():
        raise Refused(f"graph.{kind}", f"{', '.join(sorted(expected))}, as the manifest says", ", ".join(sorted(found)))
    for name, spec in expected.items():
        dtype, shape = found[name]
        if dtype != spec.dtype:
            raise Refused(f"graph.{kind} {name}.dtype", f"{spec.dtype}, as the manifest says", dtype)
        if shape != list(spec.shape):
            raise Refused(f"graph.{kind} {name}.shape", f"{list(spec.shape)}, as the manifest says", shape)
