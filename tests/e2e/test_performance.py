"""Operators read how quickly customers are answered: measured by the real system, plotted in a real browser."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from prometheus_client.parser import text_string_to_metric_families

from .chat_page import QUESTION, ChatPage
from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations

PERFORMANCE = "/dashboard/performance/"
CANVAS = "document.querySelector('[data-plot=turns] canvas')"
SECONDS = re.compile(r"^\d+(\.\d)? m?s$")
# How many different colours a canvas shows: none that is empty shows more than one.
COLOURS = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""


@pytest.fixture(scope="module", autouse=True)
def answered(browser: Browser, stack: Stack) -> None:
    """A customer whom the model has answered."""
    page = browser.new_page()
    chat = ChatPage(page, stack.url).open()
    chat.ask(QUESTION)
    chat.expect_replies(1)
    expect(chat.by("provisional")).to_have_count(0)
    page.close()


def expect_plots(page: Page) -> None:
    """Each plot is drawn, and shows something."""
    expect(page.locator("#plots canvas")).to_have_count(4)
    for canvas in page.locator("#plots canvas").all():
        assert canvas.evaluate(COLOURS) > 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_plots_and_numbers_on_a_phone_and_a_desktop(browser: Browser, stack: Stack, scheme: Any, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, is_mobile=width < 600, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    # What the content policy blocks, and what fails in the script.
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, stack, "operator", to=PERFORMANCE)
    expect_plots(page)
    figures = page.locator("#measured tbody tr").first.locator("td")
    expect(figures.first).to_have_text(re.compile(r"^[1-9]\d*$"))
    expect(figures.nth(2)).to_have_text(SECONDS)
    expect(page.locator("table.engines")).to_contain_text("openvino")
    assert serious_violations(page) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert complaints == []
    context.close()


def test_a_range_is_chosen_by_keyboard_and_the_plots_follow_the_window_and_the_scheme(page: Page, stack: Stack) -> None:
    page.emulate_media(color_scheme="light")
    sign_in(page, stack, "reviewer", to=PERFORMANCE)
    page.get_by_role("link", name="Last hour").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The last hour")).to_be_visible()
    expect_plots(page)
    light, narrow = page.evaluate(f"[{CANVAS}.toDataURL(), {CANVAS}.clientWidth]")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => {CANVAS}.toDataURL() !== light", arg=light)
    # Two plots in a row become one.
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function(f"narrow => {CANVAS}.clientWidth > narrow", arg=narrow)


def test_what_the_worker_measured_is_on_metrics_of_the_web_process(stack: Stack) -> None:
    with urllib.request.urlopen(stack.url + "/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = {sample.name: sample for family in families for sample in family.samples}
    for name in ("queue", "first_token", "engine_first_token", "chunk_gap_p95"):
        assert samples[f"frontdesk_turn_{name}_seconds_count"].value >= 1
        assert samples[f"frontdesk_turn_{name}_seconds_sum"].value > 0
    assert samples["frontdesk_engine_running_requests"].labels["engine"] == "openvino"


def test_without_javascript_the_same_numbers_stand_in_the_table(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, stack, "operator", to=PERFORMANCE)
    expect(page.locator("#plots")).to_be_hidden()
    expect(page.locator("#measured tbody tr").first.locator("td").nth(2)).to_have_text(SECONDS)
    context.close()
