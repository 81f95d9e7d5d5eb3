"""Check what an exported network (ONNX) contains and refers to, before any runtime reads it. Needs no onnx.

It walks the file's protobuf encoding and refuses what visavis never exports: loops, conditions, functions,
operations of other domains, sparse tensors, and values in any file but the bundle's weights. How much memory and time
the network needs is not known before it is loaded: see runtime/trial.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import BundleError, printable

MAX_FIELDS = 500_000  # of the encoding; the built-in networks have fewer than 15,000
MAX_NODES = 20_000
MAX_NAME = 60  # characters of a name that an error shows
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
MAX_VARINT_BYTES = 10
OWN_DOMAINS = {"", "ai.onnx"}

Field = tuple[int, int | memoryview]  # its number, and its value: a number, or the bytes of text or of a message


@dataclass(slots=True)
class GraphCheck:
    """Walks one file. Raises BundleError at the first thing that is refused."""

    name: str  # of the file
    weights: tuple[str, int]  # name and bytes of the only other file that it may refer to
    n_fields: int = field(default=0, init=False)
    n_nodes: int = field(default=0, init=False)

    def __call__(self, data: bytes) -> None:
        """Check a whole file: a ModelProto of onnx.proto."""
        for number, value in self._fields(data):
            self._refuse(number, {20: "training information", 25: "functions"})
            self._enter(number, value, {7: self._graph})

    def _graph(self, data: memoryview) -> None:
        for number, value in self._fields(data):
            self._refuse(number, {15: "sparse tensors"})
            self._enter(number, value, {1: self._node, 5: self._tensor})

    def _node(self, data: memoryview) -> None:
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            raise self._fault(f"it has more than {MAX_NODES:,} operations")
        for number, value in self._fields(data):
            self._enter(number, value, {5: self._attribute, 7: self._domain})

    def _domain(self, data: memoryview) -> None:
        if _text(data) not in OWN_DOMAINS:
            raise self._fault(f"it has an operation of another domain, {_shown(data)}")

    def _attribute(self, data: memoryview) -> None:
        refused = {6: "loops or conditions", 11: "loops or conditions", 22: "sparse tensors", 23: "sparse tensors"}
        for number, value in self._fields(data):
            self._refuse(number, refused | {14: "types as values", 15: "types as values"})
            self._enter(number, value, {5: self._tensor, 10: self._tensor})

    def _tensor(self, data: memoryview) -> None:
        entries: list[tuple[str, str]] = []
        for number, value in self._fields(data):
            self._enter(number, value, {13: lambda entry: entries.append(self._entry(entry))})
        if entries:
            self._require_inside(entries)

    def _entry(self, data: memoryview) -> tuple[str, str]:
        texts = {number: _text(value) for number, value in self._fields(data) if isinstance(value, memoryview)}
        return texts.get(1, ""), texts.get(2, "")

    def _require_inside(self, entries: Sequence[tuple[str, str]]) -> None:
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
            raise self._fault(f"it contains {refused[number]}, which no network of visavis has")

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
        return BundleError(f"{self.name} is not a network that visavis runs: {reason}")


def _text(data: memoryview) -> str:
    return bytes(data[:1000]).decode("utf-8", "replace")


def _shown(data: memoryview) -> str:
    return printable(_text(data), MAX_NAME)
