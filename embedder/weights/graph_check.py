"""Check what an exported network (ONNX) contains and refers to, before any runtime reads it. Needs no onnx.

It walks the file's protobuf encoding and refuses what visavis does not run: loops, conditions, functions, operations of
other domains, sparse tensors, and values in any file but the bundle's weights. A fault in an operation names it. How
much memory and time the network needs is not known before it is loaded: see runtime/trial.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import BundleError, printable

MAX_FIELDS = 500_000  # of the encoding; the built-in networks have fewer than 15,000
MAX_NODES = 20_000
MAX_LISTED_BYTES = 2**24  # of whole numbers in lists, which take up to 8 times as much memory once they are parsed
MAX_NAME = 60  # characters of a name that an error shows
MAX_NAME_BYTES = 4096  # of a name in the file
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MAX_VARINT_BYTES = 10
OWN_DOMAINS = {"", "ai.onnx"}
INPUTS, OUTPUTS, NAME, KIND, ATTRIBUTES, DOMAIN = 1, 2, 3, 4, 5, 7  # fields of a node
TENSOR_NAME = 8
WHOLE_NUMBERS = (1, 5, 7, 11)  # fields of a tensor: dims, int32_data, int64_data, uint64_data
CONTROL_FLOW = "loops or conditions; export the network again without them"
DEVICES = "settings of devices; export the network without them"
SPARSE = "sparse tensors; export it again with dense ones"

Field = tuple[int, int | memoryview]  # its number, and its value: a number, or the bytes of text or of a message


@dataclass(slots=True)
class GraphCheck:
    """Walks one file. Raises BundleError at the first thing that is refused."""

    name: str  # of the file
    weights: tuple[str, int] | None  # name and bytes of the only other file that it may refer to; None: to none
    n_fields: int = field(default=0, init=False)
    n_nodes: int = field(default=0, init=False)
    n_listed_bytes: int = field(default=0, init=False)
    at_node: str = field(default="", init=False)  # the operation that is being read, in words

    def __call__(self, data: bytes) -> None:
        """Check a whole file: a ModelProto of onnx.proto."""
        for number, value in self._fields(data):
            self._refuse(
                number,
                {
                    20: "training information; export the network for inference",
                    25: "functions; inline them: onnx.inliner.inline_local_functions",
                    26: DEVICES,
                },
            )
            self._enter(number, value, {7: self._graph})

    def _graph(self, data: memoryview) -> None:
        for number, value in self._fields(data):
            self._refuse(number, {15: SPARSE})
            values = dict.fromkeys((11, 12, 13), self._value_info) | {14: self._counted}
            self._enter(number, value, {1: self._node, 5: self._tensor} | values)

    def _value_info(self, data: memoryview) -> None:
        """Check the name and type of an input, an output or another value of the graph."""
        for number, value in self._fields(data):
            self._enter(number, value, {1: self._require_name, 2: self._type})

    def _type(self, data: memoryview) -> None:
        for number, value in self._fields(data):
            self._refuse(number, dict.fromkeys((4, 5, 8, 9), "values that are no tensors; export it without them"))
            self._enter(number, value, {1: self._tensor_type})

    def _tensor_type(self, data: memoryview) -> None:
        for number, value in self._fields(data):
            self._enter(number, value, {2: self._counted})

    def _counted(self, data: memoryview) -> None:
        """Count the fields of a message that has no part of interest."""
        for _ in self._fields(data):
            pass

    def _node(self, data: memoryview) -> None:
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            raise self._fault(f"it has more than {MAX_NODES:,} operations")
        fields = list(self._fields(data))
        names = [value for number, value in fields if number in (INPUTS, OUTPUTS, NAME, KIND)]
        for name in names:
            self._require_name(name)
        self.at_node = _node_of(fields)
        for number, value in fields:
            self._refuse(number, {10: DEVICES})
            self._enter(number, value, {ATTRIBUTES: self._attribute, DOMAIN: self._domain})
        self.at_node = ""

    def _require_name(self, name: int | memoryview) -> None:
        if not isinstance(name, memoryview) or len(name) > MAX_NAME_BYTES:
            raise self._fault(f"a name in it has more than {MAX_NAME_BYTES:,} bytes, or is no text")
        try:
            str(name, "utf-8")
        except UnicodeDecodeError:
            raise self._fault(f"a name in it is not UTF-8 text: {_shown(name)}") from None

    def _domain(self, data: memoryview) -> None:
        if _text(data) not in OWN_DOMAINS:
            raise self._fault(
                f"it has an operation of another domain, {_shown(data)}; export the network with ONNX's own operations"
            )

    def _attribute(self, data: memoryview) -> None:
        refused = {6: CONTROL_FLOW, 11: CONTROL_FLOW, 22: SPARSE, 23: SPARSE}
        for number, value in self._fields(data):
            self._refuse(number, refused | {14: "types as values", 15: "types as values"})
            self._enter(number, value, {1: self._require_name, 5: self._tensor, 10: self._tensor})
            self._count_list(value if number == 8 else 0)  # noqa: PLR2004 - `ints`

    def _tensor(self, data: memoryview) -> None:
        entries: list[tuple[str, str]] = []
        for number, value in self._fields(data):
            self._enter(
                number, value, {TENSOR_NAME: self._require_name, 13: lambda one: entries.append(self._entry(one))}
            )
            self._count_list(value if number in WHOLE_NUMBERS else 0)
        if entries:
            self._require_inside(entries)

    def _count_list(self, packed: int | memoryview) -> None:
        self.n_listed_bytes += len(packed) if isinstance(packed, memoryview) else 0
        if self.n_listed_bytes > MAX_LISTED_BYTES:
            raise self._fault(f"its lists of whole numbers have more than {MAX_LISTED_BYTES:,} bytes")

    def _entry(self, data: memoryview) -> tuple[str, str]:
        texts = {number: _text(value) for number, value in self._fields(data) if isinstance(value, memoryview)}
        return texts.get(1, ""), texts.get(2, "")

    def _require_inside(self, entries: Sequence[tuple[str, str]]) -> None:
        if self.weights is None:
            raise self._fault("the values of a tensor are in another file; save the network as one file")
        (file, n_bytes), place = self.weights, dict(entries)
        if len(place) < len(entries):
            raise self._fault("the place of a tensor's values is given twice")
        if place.get("location") != file:
            raise self._fault(f"the values of a tensor are in another file than {file}")
        offset, length = (place.get(key, "0") for key in ("offset", "length"))
        if not all(each.isascii() and each.isdigit() and len(each) < 16 for each in (offset, length)):  # noqa: PLR2004 - digits
            raise self._fault("the place of a tensor's values is not a number")
        if int(offset) + int(length) > n_bytes:
            raise self._fault(f"the values of a tensor lie beyond the end of {file}")

    def _enter(self, number: int, value: int | memoryview, parts: Mapping[int, Callable[[memoryview], None]]) -> None:
        if number not in parts:
            return
        if not isinstance(value, memoryview):
            raise self._fault("it is not an ONNX file")
        parts[number](value)

    def _refuse(self, number: int, refused: Mapping[int, str]) -> None:
        if number in refused:
            raise self._fault(f"it contains {refused[number]}")

    def _fields(self, data: bytes | memoryview) -> Iterator[Field]:
        view, at = memoryview(data), 0
        while at < len(view):
            self.n_fields += 1
            if self.n_fields > MAX_FIELDS:
                raise self._fault(f"its encoding has more than {MAX_FIELDS:,} fields")
            key, at = self._varint(view, at)
            value, at = self._value(view, at, key & 7)
            yield key >> 3, value

    def _value(self, view: memoryview, at: int, wire_type: int) -> tuple[int | memoryview, int]:
        if wire_type == VARINT:
            return self._varint(view, at)
        n_bytes, start = {FIXED64: 8, FIXED32: 4}.get(wire_type), at
        if wire_type == LENGTH:
            n_bytes, start = self._varint(view, at)
        if n_bytes is None or start + n_bytes > len(view):
            raise self._fault("it is not an ONNX file, or is truncated")
        return view[start : start + n_bytes], start + n_bytes

    def _varint(self, view: memoryview, at: int) -> tuple[int, int]:
        number = 0
        for index, byte in enumerate(view[at : at + MAX_VARINT_BYTES]):
            number |= (byte & 0x7F) << 7 * index
            if byte < 0x80:  # noqa: PLR2004 - the last byte of a number has no high bit
                return number, at + index + 1
        raise self._fault("it is not an ONNX file, or is truncated")

    def _fault(self, reason: str) -> BundleError:
        return not_runnable(self.name, self.at_node + reason)


def not_runnable(name: str, reason: str) -> BundleError:
    """Return the error that refuses a network's file of that name."""
    return BundleError(f"{name} is not a network that visavis runs: {reason}")


def node_in_words(name: str, kind: str) -> str:
    """Return the start of a reason that is about one operation."""
    return f"node '{printable(name, MAX_NAME)}' ({printable(kind, MAX_NAME)}): "


def _node_of(fields: Sequence[Field]) -> str:
    texts = {number: _text(value) for number, value in fields if isinstance(value, memoryview)}
    return node_in_words(texts.get(NAME) or texts.get(OUTPUTS, ""), texts.get(KIND, ""))


def _text(data: memoryview) -> str:
    return bytes(data[:1000]).decode("utf-8", "replace")


def _shown(data: memoryview) -> str:
    return printable(_text(data), MAX_NAME)
