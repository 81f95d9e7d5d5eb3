"""What the subcommands of `visavis gallery` share: the store, and reading all people of a gallery."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, get_args

import click

from gallery import GallerySearch, NoSuchGallery, Person, Store, open_store

from .main import ExtraMissing, missing_module
from .options import stop

PAGE = 500  # people read at a time
SQLITE = "sqlite:///"

F = TypeVar("F", bound=Callable[..., object])


def store_option(command: F) -> F:
    """Add --store."""
    return click.option(
        "--store",
        "url",
        envvar="VISAVIS_GALLERY",
        required=True,
        metavar="URL",
        help="The store of galleries, sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE; default: the variable "
        "VISAVIS_GALLERY.",
    )(command)


def search_option(command: F) -> F:
    """Add --search."""
    return click.option(
        "--search",
        type=click.Choice(get_args(GallerySearch)),
        envvar="VISAVIS_GALLERY_SEARCH",
        default="memory",
        show_default=True,
        help="Where templates are looked for: all in memory, or by PostgreSQL's pgvector, which misses some.",
    )(command)


@contextmanager
def opened_store(url: str, *, must_exist: bool = True, search: GallerySearch = "memory") -> Iterator[Store]:
    """Open a store. Exit with an error if it is a missing SQLite file that must exist."""
    if must_exist and url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE).partition("?")[0]).exists():
        stop(f"there is no store {url}; make one, with a gallery in it: visavis gallery create GALLERY")
    try:
        store = open_store(url, search=search)
    except ModuleNotFoundError as error:
        raise ExtraMissing(missing_module(error), "postgres") from error
    with store:
        yield store


def require_gallery(store: Store, gallery: str) -> None:
    """Exit with an error if there is no such gallery."""
    try:
        store.gallery(gallery)
    except NoSuchGallery:
        stop(f"there is no gallery {gallery!r} in the store; make it: visavis gallery create {gallery}")


def every_person(store: Store, gallery: str) -> Iterator[Person]:
    """Yield the people of a gallery in the order of their ids."""
    after = None
    while page := store.people(gallery, after=after, limit=PAGE):
        yield from page
        after = page[-1].id
