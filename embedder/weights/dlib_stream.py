"""dlib's primitive encodings, one method each. Knows nothing of layers.

Source: dlib's serialize.h and tensor.h, read as a specification. Every fault is a DlibFileError with its offset.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from ..errors import DlibFileError

_NEGATIVE, _RESERVED, _N_BYTES = 0x80, 0x70, 0x0F
_MAX_INT_BYTES = 8
_MAX_TEXT_BYTES = 64
_MAX_TENSOR_SIZE = 2**22  # numbers; the largest tensor of the known file has 590,080
_FLOAT_BYTES = 4
_INFINITY, _MINUS_INFINITY, _NAN = 32000, 32001, 32002

Shape = tuple[int, int, int, int]  # samples, k, rows, columns


class DlibStream:
    """A cursor over the bytes of a dlib file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def fault(self, reason: str) -> DlibFileError:
        """Make the error that says what is wrong here."""
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
            raise self.fault(f"control byte {control:#04x} begins no integer")
        magnitude = int.from_bytes(self.take(n_bytes), "little")
        return -magnitude if control & _NEGATIVE else magnitude

    def expect(self, wanted: int, meaning: str) -> None:
        """Read an integer that must have one value."""
        value = self.integer()
        if value != wanted:
            raise self.fault(f"{meaning} is {value}, not {wanted}")

    def boolean(self) -> bool:
        """Read one ASCII digit, 0 or 1."""
        digit = self.take(1)
        if digit not in (b"0", b"1"):
            raise self.fault(f"byte {digit[0]:#04x} is no boolean")
        return digit == b"1"

    def text(self) -> str:
        """Read a short ASCII string behind its length."""
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
            raise self.fault("a tensor holds numbers that are not finite")
        return values

    def finish(self) -> None:
        """Insist that nothing is left."""
        rest = len(self._data) - self._offset
        if rest:
            raise self.fault(f"{rest:,} bytes follow the end of the network")
