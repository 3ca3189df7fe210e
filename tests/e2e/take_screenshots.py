"""Take the pictures in `docs/images/` from a real system with the demo shop and the default models.

python -m tests.e2e.take_screenshots
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from .chat_page import QUESTION, ChatPage
from .stack import CHECKOUT, Stack
from .staff import sign_in

IMAGES = CHECKOUT / "docs" / "images"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def take_all(browser: Browser, stack: Stack, images: Path) -> None:
    """Every picture, in a fresh browser session each."""
    for scheme in ("light", "dark"):
        chat = _open(browser, stack, DESKTOP, scheme)
        _answered(chat, QUESTION)
        chat.by("sources").first.locator("summary, button").first.click()
        chat.page.screenshot(path=images / f"chat-desktop-{scheme}.png")
        chat.page.context.close()

        chat = _open(browser, stack, PHONE, scheme)
        if scheme == "light":
            chat.page.screenshot(path=images / "chat-phone-start.png")
        _answered(chat, QUESTION)
        chat.page.screenshot(path=images / f"chat-phone-{scheme}.png")
        chat.page.context.close()

    chat = _open(browser, stack, PHONE, "light", "ar")
    _answered(chat, "أين طردي؟ لقد طلبته قبل أسبوع")
    chat.page.screenshot(path=images / "chat-phone-arabic.png")
    chat.by("end-conversation").click()
    chat.by("end-yes").click()
    chat.by("survey").get_by_role("radio").nth(3).check(force=True)
    chat.page.screenshot(path=images / "survey-phone-arabic.png")
    chat.page.context.close()

    take_inbox(browser, stack, images)

    staff = _open_page(browser, DESKTOP, "light")
    sign_in(staff, stack, "admin")
    staff.goto(f"{stack.url}/admin/conversations/conversation/")
    staff.screenshot(path=images / "admin-conversations.png")
    staff.goto(f"{stack.url}/admin/conversations/conversation/?q=cancel+my+order&is_demo__exact=0")
    staff.locator("#result_list tbody th a").first.click()
    staff.locator("#content details summary").first.click()
    staff.screenshot(path=images / "admin-transcript.png", full_page=True)
    staff.goto(f"{stack.url}/admin/conversations/reviewitem/next/")
    staff.screenshot(path=images / "review.png")
    staff.goto(f"{stack.url}/dashboard/?demo=on")
    staff.locator("#plots canvas").first.wait_for()
    staff.screenshot(path=images / "dashboard.png")
    staff.goto(f"{stack.url}/dashboard/catalogue-check/")
    staff.get_by_role("button", name="Start the check").click()
    staff.locator("#suspects").wait_for()
    staff.screenshot(path=images / "catalogue-check.png")
    staff.goto(f"{stack.url}/help/")
    staff.screenshot(path=images / "help.png")
    staff.context.close()


def take_inbox(browser: Browser, stack: Stack, images: Path) -> None:
    """A customer with a person, as both see it."""
    chat = _open(browser, stack, DESKTOP, "light")
    _answered(chat, QUESTION)
    chat.page.get_by_role("button", name="Talk to a person").first.click()
    agent = _open_page(browser, DESKTOP, "light")
    sign_in(agent, stack, "reviewer", to="/dashboard/inbox/")
    agent.get_by_test_id("waiting").get_by_role("button").first.click()
    agent.get_by_role("button", name="Take it").click()
    expect(chat.by("human-banner")).to_be_visible()
    chat.ask("It says Packed already. Can you still stop it?")
    agent.get_by_test_id("reply-box").fill("Let me see what I can do. ")
    agent.get_by_test_id("reply-box").press("Enter")
    agent.get_by_role("button", name="Note", exact=True).click()
    agent.get_by_test_id("reply-box").fill("The warehouse answers until 18:00.")
    agent.get_by_role("button", name="Add note").click()
    expect(agent.get_by_test_id("note")).to_be_visible()
    agent.get_by_role("button", name="Suggest a reply").click()
    expect(agent.get_by_test_id("suggestion")).to_be_visible()
    agent.screenshot(path=images / "inbox-desktop-light.png")

    phone = _open_page(browser, PHONE, "dark")
    sign_in(phone, stack, "reviewer", to="/dashboard/inbox/")
    phone.get_by_test_id("mine").get_by_role("button").first.tap()
    expect(phone.get_by_test_id("note")).to_be_visible()
    phone.screenshot(path=images / "inbox-phone-dark.png")
    for page in (chat.page, agent, phone):
        page.context.close()


def _open_page(browser: Browser, size: dict[str, int], scheme: str, locale: str = "en-GB") -> Page:
    is_phone = size == PHONE
    context = browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        locale=locale,
        device_scale_factor=2 if is_phone else 1,
        has_touch=is_phone,
        is_mobile=is_phone,
    )
    return context.new_page()


def _open(browser: Browser, stack: Stack, size: dict[str, int], scheme: str, locale: str = "en-GB") -> ChatPage:
    return ChatPage(_open_page(browser, size, scheme, locale), stack.url).open()


def _answered(chat: ChatPage, question: str) -> None:
    chat.ask(question)
    chat.expect_replies(1)
    expect(chat.by("provisional")).to_have_count(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=IMAGES, help="the folder for the pictures (default: docs/images)")
    images: Path = parser.parse_args().to
    images.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=45_000)
    with (
        tempfile.TemporaryDirectory(prefix="fd-pictures-") as folder,
        Stack(Path(folder)) as stack,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        ) as browser,
    ):
        take_all(browser, stack, images)
    for path in sorted(images.glob("*.png")):
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    main()
