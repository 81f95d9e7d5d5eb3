"""dlib_face_recognition_resnet_model_v1.dat -> named tensors -> a bundle. Needs neither dlib nor torch.

Source: dlib's serialize.h and tensor.h, read as a specification. Every problem raises DlibFileError with its offset.

The file contains the version numbers of its nested layers, outermost first, then their contents, innermost first.
Only this file is accepted: its structure is checked first, so that errors state a specific reason, then its sha256.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..backbones.plans import DLIB_BLOCKS, DLIB_STEM_CHANNELS, DLIB_STEM_KERNEL
from ..errors import DlibFileError
from ..files import read_regular_file
from .bundle import BUILT_IN_MODELS, graphs_of, read_bundle, serialize_tensors, write_bundle
from .card import ModelCard

_NEGATIVE, _RESERVED, _N_BYTES = 0x80, 0x70, 0x0F
_MAX_INT_BYTES = 8
_MAX_TEXT_BYTES = 64
_MAX_TENSOR_SIZE = 2**22  # numbers; the largest tensor of the known file has 590,080
_FLOAT_BYTES = 4
_INFINITY, _MINUS_INFINITY, _NAN = 32000, 32001, 32002

N_CHANNELS = 128  # of an embedding

Shape = tuple[int, int, int, int]  # samples, k, rows, columns


class DlibStream:
    """A cursor over the bytes of a dlib file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def fault(self, reason: str) -> DlibFileError:
        """Return a DlibFileError with the reason and the current offset."""
        return DlibFileError(f"not the known dlib file: {reason}, at byte {self._offset:,}")

    def take(self, n_bytes: int) -> bytes:
        """Read raw bytes."""
        end = self._offset + n_bytes
        if end > len(self._data):
            raise self.fault(f"the file ends where {n_bytes:,} bytes more were expected (truncated?)")
        piece = self._data[self._offset : end]
        self._offset = end
        return piece

    def integer(self) -> int:
        """Read an integer: a control byte, then magnitude bytes, little-endian."""
        control = self.take(1)[0]
        n_bytes = control & _N_BYTES
        if control & _RESERVED or not 1 <= n_bytes <= _MAX_INT_BYTES:
            raise self.fault(f"control byte {control:#04x} does not start an integer")
        magnitude = int.from_bytes(self.take(n_bytes), "little")
        return -magnitude if control & _NEGATIVE else magnitude

    def expect(self, wanted: int, meaning: str) -> None:
        """Read an integer that must be `wanted`."""
        value = self.integer()
        if value != wanted:
            raise self.fault(f"{meaning} is {value}, not {wanted}")

    def boolean(self) -> bool:
        """Read one ASCII digit, 0 or 1."""
        digit = self.take(1)
        if digit not in (b"0", b"1"):
            raise self.fault(f"byte {digit[0]:#04x} is not a boolean")
        return digit == b"1"

    def text(self) -> str:
        """Read a short ASCII string, preceded by its length."""
        length = self.integer()
        if not 0 <= length <= _MAX_TEXT_BYTES:
            raise self.fault(f"a name of {length:,} bytes is too long")
        piece = self.take(length)
        if not piece.isascii():
            raise self.fault("a name is not ASCII")
        return piece.decode("ascii")

    def number(self) -> float:
        """Read a scalar: integer mantissa, then exponent of two; must be finite."""
        mantissa, exponent = self.integer(), self.integer()
        if exponent in (_INFINITY, _MINUS_INFINITY, _NAN) or abs(exponent) > struct.calcsize("d") * 128:
            raise self.fault("a scalar is not finite")
        return float(mantissa) * 2.0**exponent if abs(mantissa) < 2**53 else self._refuse_mantissa(mantissa)

    def _refuse_mantissa(self, mantissa: int) -> float:
        raise self.fault(f"mantissa {mantissa} has more than 53 bits")

    def shape(self) -> Shape:
        """Read four dimensions."""
        dims = tuple(self.integer() for _ in range(4))
        if any(not 0 <= dim <= _MAX_TENSOR_SIZE for dim in dims):
            raise self.fault(f"dimensions {dims} are out of bounds")
        return dims[0], dims[1], dims[2], dims[3]

    def alias(self) -> Shape:
        """Read an alias tensor: a shape without data."""
        self.expect(1, "version of an alias tensor")
        return self.shape()

    def tensor(self) -> NDArray[np.float32]:
        """Read a tensor of raw float32; all its numbers must be finite."""
        self.expect(2, "version of a tensor")
        shape = self.shape()
        size = shape[0] * shape[1] * shape[2] * shape[3]
        if size > _MAX_TENSOR_SIZE:
            raise self.fault(f"a tensor of {size:,} numbers is too large")
        values = np.frombuffer(self.take(size * _FLOAT_BYTES), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise self.fault("a tensor contains values that are not finite")
        return values

    def finish(self) -> None:
        """Check that no bytes are left."""
        rest = len(self._data) - self._offset
        if rest:
            raise self.fault(f"{rest:,} bytes follow the end of the network")


DLIB_FILE_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
DLIB_FILE_BYTES = 22_466_066
N_LAYERS = 129  # without the innermost one
COMPUTING, TAG = 2, 1
INPUT_SIZE_PX = 150
MEAN = (122.782, 117.001, 104.298)  # R, G, B
MARGIN, DISTANCE_THRESHOLD = 0.04, 0.6
POOL_AFTER_STEM = (3, 3, 2, 2, 0, 0)
POOL_SHORTCUT = (2, 2, 2, 2, 0, 0)
POOL_WHOLE = (0, 0, 1, 1, 0, 0)

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DlibLayer:
    """One computing layer: its dlib name, its tensors by role and its integers in file order."""

    kind: str
    weight: Array | None = None
    bias: Array | None = None
    numbers: tuple[int, ...] = ()


def read_dlib_file(path: Path) -> dict[str, Array]:
    """Read the .dat file as tensors, named as in the network. Raises DlibFileError with the reason."""
    try:
        data = read_regular_file(path, 2 * DLIB_FILE_BYTES)
    except OSError as error:
        raise DlibFileError(f"the dlib file cannot be read: {error.strerror}") from error
    tensors = parse_dlib(data)
    if hashlib.sha256(data).hexdigest() != DLIB_FILE_SHA256:
        raise DlibFileError(
            "the file has the right structure but different values (sha256 differs): altered or damaged; "
            "download it again"
        )
    return tensors


def parse_dlib(data: bytes) -> dict[str, Array]:
    """Parse the file's bytes and check every dimension of the network."""
    stream = DlibStream(data)
    _loss_header(stream)
    versions = [stream.integer() for _ in range(N_LAYERS)]
    if any(version not in (COMPUTING, TAG) for version in versions):
        raise stream.fault(f"a layer's version is neither {COMPUTING} nor {TAG}")
    layers = [_innermost(stream)]
    layers += [_layer(stream) for version in reversed(versions) if version == COMPUTING]
    stream.finish()
    return _named(iter(layers))


def _loss_header(stream: DlibStream) -> None:
    stream.expect(1, "version of the loss layer")
    if stream.text() != "loss_metric_2":
        raise stream.fault("the loss is not loss_metric_2")
    _expect_numbers(stream, (MARGIN, DISTANCE_THRESHOLD), "margin and threshold of the loss")


def _innermost(stream: DlibStream) -> DlibLayer:
    stream.expect(3, "version of the innermost layer")
    if stream.text() != "input_rgb_image_sized":
        raise stream.fault("the input is not input_rgb_image_sized")
    _expect_numbers(stream, MEAN, "mean of the input")
    stream.expect(INPUT_SIZE_PX, "height of the input")
    stream.expect(INPUT_SIZE_PX, "width of the input")
    layer = _layer(stream)
    stream.expect(1, "expansion factor of the input")
    return layer


def _expect_numbers(stream: DlibStream, wanted: tuple[float, ...], meaning: str) -> None:
    found = [stream.number() for _ in wanted]
    if not np.allclose(found, wanted, rtol=1e-6, atol=0):
        raise stream.fault(f"the {meaning} is {found}, not {list(wanted)}")


def _layer(stream: DlibStream) -> DlibLayer:
    kind = stream.text()
    if kind not in DETAILS:
        raise stream.fault(f"layer {kind!r} does not belong to this network")
    layer = DETAILS[kind](stream)
    _tail(stream)
    return layer


def _tail(stream: DlibStream) -> None:
    """Skip dlib's training flags and buffers; the buffers are empty in the known file."""
    for _ in range(3):
        stream.boolean()
    for _ in range(3):
        if stream.tensor().size:
            raise stream.fault("a training buffer is not empty")


def _convolution(stream: DlibStream) -> DlibLayer:
    params = stream.tensor().ravel()
    numbers = tuple(stream.integer() for _ in range(7))
    filters, biases = stream.alias(), stream.alias()
    _learning_rates(stream)
    n_weights = int(np.prod(filters))
    if biases != (1, filters[0], 1, 1) or numbers[:3] != (filters[0], *filters[2:]):
        raise stream.fault(f"a convolution's shapes {filters}, {biases}, {numbers} disagree")
    if params.size != n_weights + filters[0]:
        raise stream.fault(f"a convolution of shape {filters} has {params.size:,} parameters")
    return DlibLayer("con_4", params[:n_weights].reshape(filters), params[n_weights:], numbers)


def _affine(stream: DlibStream) -> DlibLayer:
    params = stream.tensor().ravel()
    gamma, beta = stream.alias(), stream.alias()
    stream.expect(0, "mode of an affine layer")
    channels = params.size // 2
    if gamma != beta or gamma != (1, channels, 1, 1) or params.size != 2 * channels:
        raise stream.fault(f"an affine layer's shapes {gamma}, {beta} do not fit {params.size:,} parameters")
    return DlibLayer("affine_", params[:channels], params[channels:])


def _dense(stream: DlibStream) -> DlibLayer:
    numbers = stream.integer(), stream.integer()
    params = stream.tensor()
    weights, biases = stream.alias(), stream.alias()
    stream.expect(1, "bias mode of the last layer")
    _learning_rates(stream)
    if weights != params.shape or params.shape != (numbers[1], numbers[0], 1, 1) or biases != (0, 0, 0, 0):
        raise stream.fault(f"the last layer's shapes {weights}, {biases}, {numbers} do not fit {params.shape}")
    return DlibLayer("fc_2", params[:, :, 0, 0], numbers=numbers)


def _learning_rates(stream: DlibStream) -> None:
    _expect_numbers(stream, (1, 1, 1, 0), "learning rate and weight decay of a layer")


def _pool(kind: str, stream: DlibStream) -> DlibLayer:
    return DlibLayer(kind, numbers=tuple(stream.integer() for _ in range(6)))


DETAILS: Mapping[str, Callable[[DlibStream], DlibLayer]] = {
    "con_4": _convolution,
    "affine_": _affine,
    "fc_2": _dense,
    "relu_": lambda _: DlibLayer("relu_"),
    "add_prev_": lambda _: DlibLayer("add_prev_"),
    "max_pool_2": lambda stream: _pool("max_pool_2", stream),
    "avg_pool_2": lambda stream: _pool("avg_pool_2", stream),
}


def _named(layers: Iterator[DlibLayer]) -> dict[str, Array]:
    """Name the tensors as in the torch network, in the order of its layers."""
    tensors = _unit(layers, "backbone.stem", (DLIB_STEM_CHANNELS, 3, DLIB_STEM_KERNEL, DLIB_STEM_KERNEL), stride=2)
    _next(layers, "relu_")
    _next(layers, "max_pool_2", POOL_AFTER_STEM)
    width = DLIB_STEM_CHANNELS
    for index, block in enumerate(DLIB_BLOCKS):
        tensors |= _block(layers, f"backbone.blocks.{index}", width, block.channels, halves=block.halves)
        width = block.channels
    _next(layers, "avg_pool_2", POOL_WHOLE)
    head = _next(layers, "fc_2", (N_CHANNELS, width)).weight
    if head is None or next(layers, None) is not None:
        raise DlibFileError("not the known dlib file: layers follow the last one of the network")
    return tensors | {"head.projection.weight": np.ascontiguousarray(head.T)[:, :, None, None]}  # (128, 256, 1, 1)


def _block(layers: Iterator[DlibLayer], name: str, below: int, channels: int, *, halves: bool) -> dict[str, Array]:
    stride = 2 if halves else 1
    tensors = _unit(layers, f"{name}.first", (channels, below, 3, 3), stride)
    _next(layers, "relu_")
    tensors |= _unit(layers, f"{name}.second", (channels, channels, 3, 3), 1)
    if halves:
        _next(layers, "avg_pool_2", POOL_SHORTCUT)
    _next(layers, "add_prev_")
    _next(layers, "relu_")
    return tensors


def _unit(layers: Iterator[DlibLayer], name: str, shape: tuple[int, ...], stride: int) -> dict[str, Array]:
    padding = 0 if stride > 1 else shape[2] // 2
    numbers = (shape[0], *shape[2:], stride, stride, padding, padding)
    convolution = _next(layers, "con_4", numbers, shape)
    affine = _next(layers, "affine_", shape=shape[:1])
    roles = {"conv.weight": convolution.weight, "conv.bias": convolution.bias}
    roles |= {"affine.scale": affine.weight, "affine.shift": affine.bias}
    return {f"{name}.{role}": tensor for role, tensor in roles.items() if tensor is not None}


def _next(
    layers: Iterator[DlibLayer], kind: str, numbers: tuple[int, ...] = (), shape: tuple[int, ...] = ()
) -> DlibLayer:
    layer = next(layers, DlibLayer("nothing"))
    if layer.kind != kind or layer.numbers != numbers:
        raise DlibFileError(f"not the known dlib file: {layer.kind} {layer.numbers} found instead of {kind} {numbers}")
    if shape and (layer.weight is None or layer.weight.shape != shape):
        raise DlibFileError(f"not the known dlib file: a {kind} does not have the shape {shape}")
    return layer


DLIB = BUILT_IN_MODELS["dlib-resnet29-128"]


def import_dlib(dat_file: Path, folder: Path) -> ModelCard:
    """Convert dlib's .dat file to a bundle in a new folder. Raises DlibFileError or BundleError.

    Raises ValueError if the built-in card describes other weights than this file's.
    """
    weights = serialize_tensors(read_dlib_file(dat_file))
    bundle = read_bundle(DLIB)
    write_bundle(folder, bundle.card, weights, *graphs_of(bundle))
    return bundle.card
