"""Mutate files and bodies and give them to the parsers in this process: images, forms, JSON, model cards.

    python benchmarks/fuzz_parsers.py image --runs 1000000 --corpus FOLDER

With atheris (`make fuzz` installs it) libFuzzer mutates, led by the coverage of our code, and keeps what reaches new
code in the corpus; else a loop of our own mutates what is in the corpus. A finding ends the run: an error that is none
of ours, an input that takes over 2 s, or memory over the bound. The input is then written to the corpus folder's side.
"""

import io
import logging
import random
import resource
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import click

try:
    import atheris
except ImportError:
    atheris = None

FACES = Path(__file__).parents[1] / "examples" / "faces"
LONGEST_S = 2.0
MEMORY_MIB = 1500
MAX_BYTES = 100_000  # of an input
BOUNDARY = b"x"
MAX_PIXELS = 1_000_000


def seeds(kind: str) -> Iterator[bytes]:
    """Valid inputs to begin with."""
    if kind == "image":
        yield from _images()
    elif kind == "form":
        yield from _forms()
    elif kind == "json":
        yield from _bodies()
    else:
        folder = Path(sys.modules["embedder"].__file__ or "").parent / "weights"
        yield from (path.read_bytes() for path in folder.glob("*/card.json"))


def _images() -> Iterator[bytes]:
    from PIL import Image  # noqa: PLC0415 - after atheris has prepared the imports

    picture = Image.open(FACES / "001-neutral.jpg").convert("RGB").resize((48, 40))
    variants = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}),
                ("GIF", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {}),
                ("TIFF", {"compression": "jpeg"}), ("JPEG2000", {}), ("AVIF", {})]  # fmt: skip
    for kind, options in variants:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        yield file.getvalue()
    for mode in ("L", "LA", "P", "1", "I;16", "RGBA", "CMYK"):
        file = io.BytesIO()
        picture.convert("L" if mode == "I;16" else mode).convert(mode).save(file, "TIFF" if mode == "CMYK" else "PNG")
        yield file.getvalue()


def _forms() -> Iterator[bytes]:
    image = next(_images())
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    files = [part % (name, b'; filename="a.jpg"', image[:200]) for name in (b"probe", b"reference", b"reference")]
    fields = [part % (name, b"", value) for name, value in ((b"face", b"largest"), (b"prior", b"0.5"), (b"x", b"y"))]
    for parts in (files[:2], files, [*files[:2], *fields], fields):
        yield b"".join(parts) + b"--x--\r\n"


def _bodies() -> Iterator[bytes]:
    numbers = ",".join(["0.05"] * 128)
    yield b'{"probe": "/9j/4AAQ", "reference": "/9j/4AAQ", "face": "largest", "prior": 0.5, "operating_point": "x"}'
    yield b'{"probe": "data:image/jpeg;base64,/9j/4AAQ", "reference": ["AAAA", "BBBB"], "quality": "ignore"}'
    yield b'{"image": ["AAAA"], "face": "all"}'
    yield f'{{"probe": [{numbers}], "references": [[{numbers}]], "model_digest": "sha256:0"}}'.encode()


def image_target() -> Callable[[bytes], None]:
    """Decode an image at its full size."""
    from embedder import Limits, VisavisError, decode_image  # noqa: PLC0415 - as above

    limits = Limits(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)

    def decode(data: bytes) -> None:
        with suppress(VisavisError):
            photo = decode_image(data, limits)
            photo.at(photo.factor_for(1))

    return decode


def form_target() -> Callable[[bytes], None]:
    """Read a form for four routes."""
    from service.errors import ServiceError  # noqa: PLC0415 - as above
    from service.request_body import _read_form  # noqa: PLC0415 - as above
    from service.request_parsing import EMBEDDING, MAPS, VERIFY, VERIFY_MANY, from_form  # noqa: PLC0415 - as above

    async def stream(data: bytes) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    async def read(data: bytes) -> None:
        for spec in (VERIFY, VERIFY_MANY, EMBEDDING, MAPS):
            with suppress(ServiceError):
                from_form(await _read_form("multipart/form-data; boundary=x", stream(data), spec), spec, {})

    def parse(data: bytes) -> None:
        with suppress(StopIteration):  # nothing in it waits, so one step is all
            read(data).send(None)

    return parse


def json_target() -> Callable[[bytes], None]:
    """Read a JSON body for four routes with images and one without."""
    from service.errors import ServiceError  # noqa: PLC0415 - as above
    from service.request_parsing import EMBEDDING, MAPS, VERIFY, VERIFY_MANY, from_json, with_query  # noqa: PLC0415
    from service.wire import CompareRequest, DecisionOptions  # noqa: PLC0415 - as above

    def parse(data: bytes) -> None:
        for spec in (VERIFY, VERIFY_MANY, EMBEDDING, MAPS):
            with suppress(ServiceError):
                from_json(bytearray(data), spec, {})
        with suppress(ServiceError):
            with_query(bytearray(data), CompareRequest, DecisionOptions, {}, max_values=256_000)

    return parse


def card_target() -> Callable[[bytes], None]:
    """Read a model card."""
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from embedder import ModelCard  # noqa: PLC0415 - as above

    def parse(data: bytes) -> None:
        with suppress(ValidationError):
            ModelCard.model_validate_json(data)

    return parse


TARGETS = {"image": image_target, "form": form_target, "json": json_target, "card": card_target}


def with_atheris(target: Callable[[bytes], None], corpus: Path, runs: int) -> None:
    """Let libFuzzer mutate; it ends the process at a finding, with the input beside the corpus."""
    options = (f"-runs={runs}", f"-timeout={LONGEST_S:.0f}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MAX_BYTES}")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}.found-", str(corpus)], target)
    atheris.Fuzz()


def with_own_loop(target: Callable[[bytes], None], corpus: Path, runs: int, seed: int) -> None:
    """Mutate at random, without coverage."""
    inputs = [path.read_bytes() for path in sorted(corpus.iterdir())]
    generator = random.Random(seed)  # noqa: S311 - no secrets
    start = time.monotonic()
    for n in range(runs):
        data = mutated(generator.choice(inputs), generator)
        began = time.perf_counter()
        try:
            target(data)
        except BaseException:
            corpus.with_name(f"{corpus.name}.found").write_bytes(data)
            raise
        if time.perf_counter() - began > LONGEST_S or _memory_mib() > MEMORY_MIB:
            corpus.with_name(f"{corpus.name}.found").write_bytes(data)
            raise SystemExit(f"{time.perf_counter() - began:.1f} s, {_memory_mib():.0f} MiB: see the input")
        if n % 50_000 == 0:
            print(f"{n:,} inputs, {n / (time.monotonic() - start):.0f}/s, {_memory_mib():.0f} MiB", flush=True)


def _memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Change an input in one to eight places: bits, bytes, lengths, copies, cuts."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 8)):
        at = generator.randrange(len(changed) + 1)
        length = generator.choice((1, 2, 4, 16, 256))
        match generator.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << generator.randrange(8)
            case 1:
                changed[at : at + length] = generator.randbytes(length)
            case 2:
                changed[at : at + length] = generator.choice((b"\0", b"\xff", b"\x7f", b"0", b'"', b"\r\n")) * length
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length]
            case _:
                changed = changed[: at + 1]
    return bytes(changed[:MAX_BYTES])


@click.command()
@click.argument("kind", type=click.Choice(tuple(TARGETS)))
@click.option("--runs", type=int, default=100_000, help="How many inputs to try.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="The folder of inputs, which is kept.")
@click.option("--seed", type=int, default=0, help="Of the loop without atheris.")
def main(*, kind: str, runs: int, corpus: Path, seed: int) -> None:
    """Fill the corpus with valid inputs and mutate them."""
    logging.disable(logging.CRITICAL)  # what python-multipart thinks of the bodies
    with nullcontext() if atheris is None else atheris.instrument_imports(include=["embedder", "service"]):
        target = TARGETS[kind]()
    corpus.mkdir(parents=True, exist_ok=True)
    for n, data in enumerate(seeds(kind)):
        (corpus / f"valid-{n:02}").write_bytes(data)
    start, cpu_s = time.monotonic(), time.process_time()
    print(f"{kind}: {len(list(corpus.iterdir()))} inputs in the corpus", flush=True)
    if atheris is None:
        with_own_loop(target, corpus, runs, seed)
    else:
        with_atheris(target, corpus, runs)
    took_s, processor_s = time.monotonic() - start, time.process_time() - cpu_s
    print(f"{kind}: {runs:,} inputs in {took_s:.0f} s, {processor_s:.0f} s of processor", flush=True)
    print(f"{kind}: at most {_memory_mib():.0f} MiB; no finding")


if __name__ == "__main__":
    main()
