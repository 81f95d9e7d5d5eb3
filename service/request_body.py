"""Read requests: the query, and bodies into memory, never to disk, with limits of size and time while receiving."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from anyio import fail_after
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from .errors import BodyTooLarge, BodyTooSlow, MalformedRequest, UnsupportedMediaType
from .json_body import LONGEST_KEPT_TEXT
from .request_parsing import (
    ModelT,
    MultipartForm,
    OptionsT,
    ParsedRequest,
    RequestSpec,
    from_form,
    from_json,
    query_options,
    shown,
    small_json,
    unknown_name,
    with_query,
)
from .wire import Message

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# Told how much more memory is held, and how many more bytes of the body have arrived; raises MemoryFull.
HoldBytes: TypeAlias = Callable[[int, int], None]

FORM, JSON = "multipart/form-data", "application/json"
MAX_FIELD_BYTES = 200  # of a text field; the longest sensible one is a threshold's digits
MAX_FACT_BYTES = LONGEST_KEPT_TEXT + 100  # of one about a person, which may be an object with a text
NETPBM = re.compile(rb"P[1-7]\s")  # how a PGM or PPM file begins
MAX_WHOLE_IMAGES = 4  # whose size all images of a request may have together
FORM_BYTES_PER_BYTE = 1.25  # a body, and an image of it that is there twice for a moment
JSON_BYTES_PER_BYTE = 2  # a body and the images in it, or the numbers
LONGEST_DELIMITER_END = 66  # blanks, and a line break or two hyphens
DELIMITER_END = re.compile(rb"[ \t]{0,64}(\r\n|--)")
LONGEST_VALUE = 64  # bytes of one number in JSON, with line break and indentation
MAX_SMALL_BYTES = 64 * 1024  # of a body without images and embeddings
OVERHEAD_BYTES = 64 * 1024  # a form's boundaries, headers and fields; JSON's names, data: URI headers and whitespace


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads bodies within size and time limits; stores none. `max_bytes`: the memory that one request may hold."""

    max_image_bytes: int
    timeout_s: float
    max_bytes: int = 2**30

    async def read(
        self, request: Request, spec: RequestSpec[OptionsT], hold: HoldBytes
    ) -> Callable[[], ParsedRequest[OptionsT]]:
        """Receive images and options, sent as a form or as JSON; options may be in the query instead.

        `hold` is told the memory that the body needs: before it is read, or while it grows if its length is unknown.
        Returns the function that parses them, once, and lets the body go. It takes time, so call it in a thread.
        """
        query = request.state.query
        media_type = _media_type(request, (FORM, JSON))
        per_byte = FORM_BYTES_PER_BYTE if media_type == FORM else JSON_BYTES_PER_BYTE
        limit = min(self._limit(spec, media_type), int(self.max_bytes / per_byte))
        with _in_time(self.timeout_s):
            async with aclosing(_counted(request, limit, _times_memory(hold, per_byte))) as stream:
                if media_type == FORM:
                    form = await _read_form(request.headers["content-type"], stream, spec)
                    parsed = from_form(form, spec, query)
                    return lambda: parsed
                body = await _whole(stream)
        return lambda: from_json(body.taken(), spec, query)

    async def read_json(
        self,
        request: Request,
        model: type[ModelT],
        options_model: type[Message],
        hold: HoldBytes,
        *,
        max_values: int,
    ) -> Callable[[], ModelT]:
        """Receive a JSON body without images; its options, the fields of `options_model`, may be in the query instead.

        Returns the function that parses it, as `read` does.
        """
        _media_type(request, (JSON,))
        limit = min(max_values * LONGEST_VALUE, self.max_bytes // JSON_BYTES_PER_BYTE)
        with _in_time(self.timeout_s):
            body = await _whole(_counted(request, limit, _times_memory(hold, JSON_BYTES_PER_BYTE)))
        return lambda: with_query(body.taken(), model, options_model, request.state.query, max_values=max_values)

    async def read_small_json(self, request: Request, model: type[ModelT], hold: HoldBytes) -> Callable[[], ModelT]:
        """Receive a JSON body of a few kilobytes, which may be missing. Returns the function that parses it."""
        if _has_body(request):
            _media_type(request, (JSON,))
        with _in_time(self.timeout_s):
            body = await _whole(_counted(request, MAX_SMALL_BYTES, _times_memory(hold, JSON_BYTES_PER_BYTE)))
        return lambda: small_json(body.taken(), model)

    def _limit(self, spec: RequestSpec[OptionsT], media_type: str) -> int:
        image_bytes = self.max_image_bytes if media_type == FORM else _base64_bytes(self.max_image_bytes)
        return min(spec.n_images, MAX_WHOLE_IMAGES) * image_bytes + OVERHEAD_BYTES


async def read_query(request: Request) -> None:
    """Store the options of the query for the route; refuse all names that the route's description does not have."""
    described = getattr(request.scope["route"], "openapi_extra", None) or {}
    names = [each["name"] for each in described.get("parameters", ()) if each["in"] == "query"]
    request.state.query = query_options(request.scope["query_string"], names)


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _media_type(request: Request, accepted: tuple[str, ...]) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("the body has a Content-Encoding; send it without, images are compressed already")
    name, _ = parse_options_header(request.headers.get("content-type"))
    media_type = name.decode("latin-1").lower()
    if media_type not in accepted:
        raise UnsupportedMediaType(f"the body must be {' or '.join(accepted)}, and Content-Type must say so")
    return media_type


def _announced_length(request: Request, limit: int) -> int:
    """The body's length according to its header, 0 if that is unknown. Raises BodyTooLarge or MalformedRequest."""
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()):
        raise MalformedRequest("Content-Length must be a whole number of bytes")
    if int(announced[:20]) > limit:
        raise BodyTooLarge(limit)
    return int(announced)


def _times_memory(hold: HoldBytes, per_byte: float) -> HoldBytes:
    """`hold` for a body that needs so much memory for each of its bytes."""
    return lambda n_bytes, n_arrived: hold(int(per_byte * n_bytes), n_arrived)


async def _counted(request: Request, limit: int, hold: HoldBytes) -> AsyncGenerator[bytes, None]:
    """Yield the body; hold its announced length before it is read, and what comes without announcement as it comes."""
    n_bytes, n_held = 0, _announced_length(request, limit)
    hold(n_held, 0)
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise BodyTooLarge(limit)
            hold(max(0, n_bytes - n_held), len(chunk))
            n_held = max(n_held, n_bytes)
            yield chunk


@dataclass(slots=True)
class _WholeBody:
    """A body in memory, which grows in place: it is never there twice."""

    _content: bytearray = field(default_factory=bytearray, repr=False)

    def add(self, chunk: bytes) -> None:
        """Append a chunk."""
        self._content += chunk

    def taken(self) -> bytearray:
        """Return the content and forget it, so that it goes when its reader is done."""
        content, self._content = self._content, bytearray()
        return content


async def _whole(stream: AsyncGenerator[bytes, None]) -> _WholeBody:
    body = _WholeBody()
    try:
        async for chunk in stream:
            body.add(chunk)
    except BaseException:  # as in _read_form
        body.taken()
        raise
    return body


@contextmanager
def _in_time(limit_s: float) -> Iterator[None]:
    try:
        with fail_after(limit_s):
            yield
    except TimeoutError:
        raise BodyTooSlow(limit_s) from None


def _base64_bytes(n: int) -> int:
    # 4 characters for 3 bytes, and a line break ("\r\n", escaped in JSON) after every 76, as in MIME's base64.
    return (n + 2) // 3 * 4 * 80 // 76


async def _read_form(
    content_type: str, stream: AsyncGenerator[bytes, None], spec: RequestSpec[OptionsT]
) -> MultipartForm:
    """Read a multipart body; raises MalformedRequest."""
    _, parameters = parse_options_header(content_type)
    reader = _PartReader(spec)
    boundary = _boundary(parameters)
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        delimiters = _DelimiterCheck(b"\r\n--" + boundary)
        async for chunk in stream:
            if not reader.has_ended:
                delimiters.check(chunk)
            parser.write(chunk)
        parser.finalize()
        reader.require_ended()
        return reader.form()
    except BaseException as error:
        reader.forget()  # the error's traceback may live for a while, and must not keep the images
        if isinstance(error, FormParserError):
            raise _unreadable("Invalid multipart data") from None
        raise


def _boundary(parameters: dict[bytes, bytes]) -> bytes:
    if not parameters.get(b"boundary"):
        raise _unreadable("Missing boundary in multipart")
    return parameters[b"boundary"]


def _unreadable(reason: str) -> MalformedRequest:
    return MalformedRequest(f"the multipart body cannot be read ({reason}); build it with an HTTP library")


class _DelimiterCheck:
    """Refuses a line that begins as a delimiter and is none, which RFC 2046 forbids.

    The parser reads such lines byte by byte, so a body full of them would take seconds.
    """

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._unchecked = b""

    def check(self, chunk: bytes) -> None:
        """Check the next chunk of a body. Raises MalformedRequest."""
        content, length = self._unchecked + chunk, len(self._delimiter)
        place = content.find(self._delimiter)
        while 0 <= place <= len(content) - length - LONGEST_DELIMITER_END:
            if not DELIMITER_END.match(content, place + length):
                raise _unreadable("Invalid boundary in multipart")
            place = content.find(self._delimiter, place + length)
        # What may be, or may become, a delimiter without its end.
        self._unchecked = content[place if place >= 0 else max(0, len(content) - length + 1) :]


class _PartReader:
    """Collects a form's parts from `python_multipart`'s callbacks; checks each part after its headers."""

    def __init__(self, spec: RequestSpec[OptionsT]) -> None:
        self.has_ended = False
        self._spec = spec
        self._files: dict[str, list[bytes]] = {name: [] for name in spec.images}
        self._fields: dict[str, str] = {}
        self._seen: Counter[str] = Counter()

    def callbacks(self) -> "MultipartCallbacks":
        """Return the parser's callbacks."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._check,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._end_all,
        }

    def form(self) -> MultipartForm:
        """Return all parts, by name."""
        return MultipartForm({name: tuple(files) for name, files in self._files.items()}, self._fields)

    def require_ended(self) -> None:
        """Raise MalformedRequest if the closing boundary is missing."""
        if not self.has_ended:
            raise MalformedRequest("the multipart body ends before its closing boundary; send the complete body")

    def forget(self) -> None:
        """Let go of all that was read."""
        for files in self._files.values():
            files.clear()
        self._content = bytearray()

    def _begin(self) -> None:
        self._header_name, self._header_value = bytearray(), bytearray()
        self._disposition: dict[bytes, bytes] = {}
        self._content = bytearray()

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(bytes(self._header_value))
        self._header_name, self._header_value = bytearray(), bytearray()

    def _check(self) -> None:
        """Refuse an unknown or duplicated part before its content is read."""
        if b"name" not in self._disposition:
            raise _unreadable('The Content-Disposition header field "name" must be provided')
        self._name = _decoded(self._disposition[b"name"])
        self._is_image, self._is_file = self._name in self._spec.images, b"filename" in self._disposition
        self._seen[self._name] += 1
        if self._name not in self._spec.names:
            raise MalformedRequest(unknown_name("part", self._name, self._spec.names))
        if self._is_file and not self._is_image:
            raise MalformedRequest(_not_as_a_file(self._name))
        most = self._spec.images.get(self._name, 1)
        if self._seen[self._name] > most:
            raise MalformedRequest(f"{self._name} was sent more than {_times(most)}; send it at most {_times(most)}")

    def _add(self, data: bytes, start: int, end: int) -> None:
        """Add a chunk of a part; refuse a text field that is too long."""
        most = MAX_FACT_BYTES if self._name in self._spec.facts else MAX_FIELD_BYTES
        if not self._is_image and len(self._content) + end - start > most:
            raise MalformedRequest(f"the field {shown(self._name)} is longer than {most} bytes")
        self._content.extend(data[start:end])

    def _end(self) -> None:
        content = bytes(self._content)
        if not self._is_image:
            self._fields[self._name] = _value(self._name, content)
        elif not self._is_file and _is_text(content):
            raise MalformedRequest(_not_as_text(self._name))
        # A browser sends an empty file input as a part without file name and content.
        elif content or self._disposition[b"filename"]:
            self._files[self._name].append(content)
        self._content = bytearray()

    def _end_all(self) -> None:
        self.has_ended = True


def _decoded(content: bytes) -> str:
    """Decode a name; valid ones are ASCII, so a charset that the body states makes no difference."""
    return content.decode("utf-8", "replace")


def _value(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedRequest(f"the field {shown(name)} is not UTF-8; send it as UTF-8") from None


def _is_text(content: bytes) -> bool:
    """Whether a part without a file name is a path, an address or base64 rather than an image file."""
    if NETPBM.match(content):  # the only supported images that may consist of text
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _not_as_text(name: str) -> str:
    return f"{name} was sent as text; send the image itself as a file part, as curl -F {name}=@photo.jpg"


def _not_as_a_file(name: str) -> str:
    return f"{name} was sent as a file; send it as a text field, as curl -F {name}=value"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"
