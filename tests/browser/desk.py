"""The desk as a person uses it, for the browser tests."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from labeling.models import Annotation, Assignment, Batch
from labeling.vocabulary import PlaceStatus

# Longer than the pause in which the desk takes a key for one meant for the item before.
SETTLED = 180


class Desk:
    """One tab with the desk of a batch."""

    def __init__(self, context: BrowserContext, batch: Batch, *, page: Page | None = None) -> None:
        self.batch = batch
        self.page = page or context.new_page()
        self.page.goto(reverse("labeling:desk", args=[batch.uuid]))
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_timeout(SETTLED)

    def press_twice(self, key: str) -> None:
        """Two presses so close that the second cannot be meant for the item that the first one brings."""
        self.page.evaluate(
            """(key) => { for (const _ of [1, 2]) document.activeElement.dispatchEvent(
                new KeyboardEvent("keydown", { key, code: `Digit${key}`, bubbles: true, cancelable: true })) }""",
            key,
        )
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys one after the other as a person does, each after the last paint has settled."""
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()

    @property
    def text(self) -> str:
        return self.page.locator("#item").inner_text()

    @property
    def position(self) -> str:
        return self.page.locator("#position").inner_text()

    def shows(self, text: str) -> None:
        """Wait until the item with this text is on the screen."""
        expect(self.page.locator("#item")).to_have_text(text)
        self.settle()

    def label(self, name: str) -> Any:
        return self.page.locator(".label-btn", has_text=name).first

    def saved(self) -> None:
        """Wait until the server has confirmed every answer."""
        expect(self.page.locator("#saved[aria-busy=false]")).to_have_text("all answers saved")

    def kept(self, count: int) -> None:
        words = "1 answer" if count == 1 else f"{count} answers"
        expect(self.page.locator("#saved")).to_have_text(f"{words} kept on this computer, will be sent")


def answers(batch: Batch, name: str) -> list[Annotation]:
    """The person's annotations in the batch, oldest first."""
    return list(
        Annotation.objects.filter(assignment__batch=batch, assignment__member__user__username=name).order_by("pk")
    )


def submitted(batch: Batch, name: str) -> int:
    return Assignment.objects.filter(batch=batch, member__user__username=name, status=PlaceStatus.SUBMITTED).count()
