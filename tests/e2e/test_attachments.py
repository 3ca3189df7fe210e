"""A picture on its way from a customer's phone to an agent, and back as a download."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from .chat_page import ChatPage
from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations


@pytest.fixture
def phone(browser: Browser, stack: Stack) -> Iterator[ChatPage]:
    """A customer on a phone who has just opened the chat."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(45_000)
    yield ChatPage(page, stack.url).open()
    context.close()


def photo() -> bytes:
    """A photo that says where it was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (53.0, 20.0, 0.0)})
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((1200, 900)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def is_shown(image: str, page: Page) -> None:
    expect(page.locator(image).first).to_be_visible()
    page.wait_for_function("selector => document.querySelector(selector).naturalWidth > 0", arg=image)


def test_a_photo_reaches_the_agent_and_comes_back_without_its_place(
    phone: ChatPage, browser: Browser, stack: Stack
) -> None:
    page = phone.page
    with page.expect_file_chooser() as chooser:
        phone.by("attach").click()
    chooser.value.set_files(FilePayload(name="parcel.jpg", mimeType="image/jpeg", buffer=photo()))
    expect(phone.by("tray-item")).to_have_attribute("data-state", "ready")
    assert not serious_violations(page)
    phone.by("send").click()
    is_shown('[data-testid="attachment"] img', page)
    reply = phone.expect_replies(1)
    expect(reply).to_contain_text("can't look into files")
    phone.by("quick-reply").get_by_text("Talk to a person").click()
    expect(phone.by("waiting-banner")).to_be_visible()

    with page.expect_download() as download:
        phone.by("attachment").click()
    assert download.value.suggested_filename == "parcel.jpg"
    with Image.open(download.value.path()) as image:
        assert image.size == (1200, 900)
        assert not image.getexif()

    context = browser.new_context()
    agent = context.new_page()
    agent.set_default_timeout(45_000)
    sign_in(agent, stack, "reviewer", to="/dashboard/inbox/")
    agent.get_by_test_id("waiting").get_by_role("button", name=re.compile("Talk to a person")).first.click()
    is_shown('[data-testid="attachment"] img', agent)
    with agent.expect_download() as download:
        agent.get_by_test_id("attachment").click()
    assert download.value.suggested_filename == "parcel.jpg"
    context.close()
    # The queue is everybody's, and other tests look at who is next in it.
    phone.by("return-to-assistant").click()
    expect(phone.by("waiting-banner")).to_have_count(0)


def test_what_is_no_picture_says_what_to_do_and_the_text_stays(chat: ChatPage) -> None:
    chat.composer.fill("Here it is")
    fake = FilePayload(name="photo.png", mimeType="image/png", buffer=b"<svg onload=alert(1)>")
    chat.by("file-field").set_input_files(fake)
    expect(chat.by("tray-item")).to_have_attribute("data-state", "failed")
    expect(chat.by("tray-item")).to_contain_text("JPEG, PNG, WebP or GIF")
    chat.page.get_by_role("button", name="Remove photo.png").click()
    expect(chat.by("tray-item")).to_have_count(0)
    expect(chat.composer).to_have_value("Here it is")
