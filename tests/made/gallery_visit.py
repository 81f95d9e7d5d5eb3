"""A visit to the gallery's tab of the page: what a person does there."""

from pathlib import Path
from uuid import uuid4

from playwright.sync_api import Page
from visit import until

TAB = "#tabs a[href='#gallery']"


class GalleryVisit:
    """Someone on the gallery's tab, with a gallery of their own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.name = f"Zoë's people {uuid4()}"

    def begin(self) -> None:
        """Turn to the tab and create a gallery."""
        self.open_tab()
        self.open(self.name)
        self.page.click("[data-key=create]")
        self.page.wait_for_selector("#people-title")

    def open_tab(self) -> None:
        self.page.click(TAB)
        self.page.wait_for_selector("#gallery-name")

    def open(self, name: str) -> None:
        """Ask for a gallery by its name."""
        self.page.fill("#gallery-name", name)
        self.page.click("[data-key=open-gallery]")

    def choose(self, *paths: Path) -> None:
        """Choose photos to enrol."""
        n_before = self.page.locator(".thumbs li").count()
        with self.page.expect_file_chooser() as chooser:
            self.page.click(".enrolment [data-key=pick]")
        chooser.value.set_files(paths)
        until(self.page, f"() => document.querySelectorAll('.thumbs li').length > {n_before}")

    def ask_to_enrol(self, person: str, *paths: Path) -> None:
        """Ask for photos to be enrolled as a person."""
        self.page.fill("#enrol-person", person)
        self.choose(*paths)
        self.page.click("[data-key=enrol]")

    def enrol(self, person: str, *paths: Path) -> str:
        """Enrol photos, and wait for what is said of it."""
        self.ask_to_enrol(person, *paths)
        return self.enrolled()

    def enrolled(self) -> str:
        return self.page.inner_text(".enrolment .note.good")

    def refusals(self) -> list[str]:
        """What is said of each photo once some of them are refused."""
        self.page.wait_for_selector(".thumbs .refused")
        return [" ".join(each.locator(".reason").all_inner_texts()) for each in self.page.locator(".thumbs li").all()]

    def identify(self, path: Path) -> list[str]:
        """Give a photo; the title of each face of it, from the left."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#probe-photo [data-key=pick]")
        chooser.value.set_files(path)
        return self.identified()

    def identified(self) -> list[str]:
        """Wait until nothing is being asked; the title of each face."""
        self.page.wait_for_selector(".found-face")
        until(self.page, "() => !document.querySelector('.identification .note.busy')")
        return self.page.locator(".found-face h3").all_inner_texts()

    def people(self) -> list[str]:
        """The lines of the list."""
        return self.page.locator(".people summary").all_inner_texts()

    def look_at(self, person: str) -> None:
        """Unfold a person."""
        self.page.click(f"[data-key='person-{person}']")

    def forget(self, button: str) -> str:
        """Press a button that forgets, confirm it, and wait for the receipt."""
        self.page.click(button)
        self.page.click("[data-key=confirm]")
        return self.page.inner_text(".receipt")
