"""A request's body -> memory: refused by its headers first, then counted as it comes, and given up when it is late."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from anyio import fail_after, to_thread
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from .errors import BodyTooLarge, BodyTooSlow, MalformedRequest, UnsupportedMediaType
from .forms import read_form
from .shapes import ParsedRequest, RequestSpec
from .submissions import from_form, from_json, validated

ModelT = TypeVar("ModelT", bound=BaseModel)

FORM, JSON = "multipart/form-data", "application/json"
OVERHEAD_BYTES = 64 * 1024  # a form's boundaries, headers and fields; JSON's names, data: URI headers and blanks


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads bodies within limits; keeps none of them."""

    max_image_bytes: int
    timeout_s: float

    async def submission(self, request: Request, shape: RequestSpec) -> ParsedRequest:
        """Read images and options, sent as a form or as JSON."""
        media_type = _media_type(request, (FORM, JSON))
        limit = self._limit(shape, media_type)
        _check_length(request, limit)
        with _in_time(self.timeout_s):
            async with aclosing(_counted(request, limit)) as stream:
                if media_type == FORM:
                    return from_form(await read_form(request.headers, stream, shape), shape)
                body = await _whole(stream)
        return await to_thread.run_sync(from_json, body, shape)  # decoding many megabytes takes a while

    async def json(self, request: Request, model: type[ModelT], *, max_bytes: int) -> ModelT:
        """Read a JSON body that holds no image."""
        _media_type(request, (JSON,))
        _check_length(request, max_bytes)
        with _in_time(self.timeout_s):
            body = await _whole(_counted(request, max_bytes))
        return await to_thread.run_sync(validated, body, model)

    def _limit(self, shape: RequestSpec, media_type: str) -> int:
        image_bytes = self.max_image_bytes if media_type == FORM else _base64_bytes(self.max_image_bytes)
        return shape.n_images * image_bytes + OVERHEAD_BYTES


def _media_type(request: Request, accepted: tuple[str, ...]) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("the body has a Content-Encoding; send it as it is, images are compressed already")
    name, _ = parse_options_header(request.headers.get("content-type"))
    media_type = name.decode("latin-1").lower()
    if media_type not in accepted:
        raise UnsupportedMediaType(f"the body must be {' or '.join(accepted)}, and Content-Type must say so")
    return media_type


def _check_length(request: Request, limit: int) -> None:
    announced = request.headers.get("content-length")
    if announced is None:
        return
    if not (announced.isascii() and announced.isdigit()):
        raise MalformedRequest("Content-Length must be a whole number of bytes")
    if int(announced[:20]) > limit:
        raise BodyTooLarge(limit)


async def _counted(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    n_bytes = 0
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise BodyTooLarge(limit)
            yield chunk


async def _whole(stream: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in stream])


@contextmanager
def _in_time(limit_s: float) -> Iterator[None]:
    try:
        with fail_after(limit_s):
            yield
    except TimeoutError:
        raise BodyTooSlow(limit_s) from None


def _base64_bytes(n: int) -> int:
    # 4 characters for 3 bytes, and line breaks ("\r\n" as JSON escapes them) after every 76 as MIME writes base64.
    return (n + 2) // 3 * 4 * 80 // 76
