"""Multipart bodies, parsed in memory only and refused at the first part that does not belong."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .errors import MalformedRequest
from .hints import shown, unknown_name
from .shapes import RequestSpec

MAX_FIELD_BYTES = 200  # of a text field; the longest sensible one is a threshold's digits


@dataclass(frozen=True, slots=True)
class MultipartForm:
    """What was sent, by name; checked for names and counts, not for values."""

    files: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    fields: Mapping[str, str]


async def read_form(headers: Headers, stream: AsyncGenerator[bytes, None], shape: RequestSpec) -> MultipartForm:
    """Read a multipart body; raises MalformedRequest."""
    parser = InMemoryParser(headers, stream, shape)
    try:
        items = (await parser.parse()).multi_items()
        if not parser.has_ended:
            raise MalformedRequest("the multipart body stops before its closing boundary; send it again, whole")
        files = {name: await _contents(name, items) for name in shape.images}
    except (MultiPartException, UnicodeError) as fault:
        raise MalformedRequest(_in_words(fault)) from None
    finally:
        parser.close()
    return MultipartForm(files, {name: value for name, value in items if isinstance(value, str)})


async def _contents(name: str, items: list[tuple[str, UploadFile | str]]) -> tuple[bytes, ...]:
    uploads = [value for key, value in items if key == name and isinstance(value, UploadFile)]
    # A browser sends a file input that was left empty as a part without file name and content.
    return tuple([await upload.read() for upload in uploads if upload.filename or upload.size])


def _in_words(fault: MultiPartException | UnicodeError) -> str:
    reason = fault.message.rstrip(".") if isinstance(fault, MultiPartException) else "its charset does not fit"
    return f"the multipart body cannot be read ({reason}); let an HTTP library build it"


class InMemoryParser(MultiPartParser):
    """Starlette's parser, with no file ever spooled to disk and each part checked when its headers are read."""

    spool_max_size = 0  # of a SpooledTemporaryFile: 0 = stay in memory whatever the size; the body's length is limited

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], shape: RequestSpec) -> None:
        super().__init__(headers, stream, max_part_size=MAX_FIELD_BYTES)
        self.has_ended = False
        self._shape = shape
        self._seen: Counter[str] = Counter()

    def on_headers_finished(self) -> None:
        """Refuse a part that does not belong, before its content is taken in."""
        super().on_headers_finished()
        name, is_file = self._current_part.field_name, self._current_part.file is not None
        self._seen[name] += 1
        if name not in self._shape.names:
            raise MalformedRequest(unknown_name("part", name, self._shape.names))
        _check_kind(name, is_file=is_file, is_image=name in self._shape.images)
        most = self._shape.images.get(name, 1)
        if self._seen[name] > most:
            raise MalformedRequest(f"{name} was sent more than {_times(most)}; send it at most {_times(most)}")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Refuse a text field longer than any option."""
        part = self._current_part
        if part.file is None and len(part.data) + end - start > MAX_FIELD_BYTES:
            raise MalformedRequest(f"the field {shown(part.field_name)} is longer than {MAX_FIELD_BYTES} bytes")
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        """Note that the closing boundary was seen."""
        self.has_ended = True

    def close(self) -> None:
        """Give the memory back, also of a part that never came to its end."""
        for file in self._files_to_close_on_error:
            file.close()


def _check_kind(name: str, *, is_file: bool, is_image: bool) -> None:
    if is_image and not is_file:
        raise MalformedRequest(
            f"{name} was sent as text; send the image itself as a file part, as curl -F {name}=@photo.jpg"
        )
    if is_file and not is_image:
        raise MalformedRequest(f"{name} was sent as a file; send it as a text field, as curl -F {name}=value")


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
