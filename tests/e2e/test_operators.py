"""Operators check the catalogue: started, followed and read in a browser, done by the training worker."""

from __future__ import annotations

import re
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from .stack import Stack
from .staff import sign_in
from .test_accessibility import serious_violations

CHECK = "/dashboard/catalogue-check/"
REPORT = "Examples that look mislabelled"
# The lease of a worker that was killed, the sweeper's round, and a check on two busy cores.
TAKEN_UP_WITHIN_MS = 120_000


@pytest.fixture
def operator(page: Page, stack: Stack) -> Page:
    """An operator who has opened the page."""
    page.set_default_timeout(45_000)
    sign_in(page, stack, "operator", to=CHECK)
    return page


def start_check(page: Page) -> None:
    """Start one, and see it begin."""
    page.get_by_role("button", name="Start the check").click()
    page.wait_for_url(re.compile(CHECK + r"\d+/$"))
    expect(page.get_by_role("progressbar")).to_be_visible()


def expect_to_run(page: Page) -> None:
    """Until the worker reports what it does."""
    expect(page.locator("#progress-message")).to_contain_text(re.compile("Embedding|Cross-validating"))


@pytest.fixture(scope="module")
def report_url(browser: Browser, stack: Stack) -> str:
    """Where the report of a finished check stands."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, stack, "operator", to=CHECK)
    start_check(page)
    expect(page.get_by_role("heading", name=REPORT)).to_be_visible()
    url = page.url
    context.close()
    return url


def training_children(stack: Stack) -> list[psutil.Process]:
    """The processes that do the training worker's runs."""
    workers = [each for each in stack.family() if "celery" in each.cmdline() and "training" in each.cmdline()]
    return [each for each in workers if each.ppid() in {worker.pid for worker in workers}]


def test_an_operator_starts_a_check_sees_it_run_and_reads_the_report(operator: Page) -> None:
    assert serious_violations(operator) == []
    operator.get_by_label("Fast").check()
    start_check(operator)
    assert serious_violations(operator) == []
    expect_to_run(operator)
    expect(operator.get_by_role("status")).to_contain_text("percent done")
    # The page comes to its report by itself.
    expect(operator.get_by_role("heading", name=REPORT)).to_be_visible()
    expect(operator.get_by_role("definition").first).to_contain_text(re.compile(r"^9\d\.\d%$"))
    operator.get_by_role("link", name=re.compile("Show all")).click()
    matrix = operator.get_by_role("table", name="Confusion matrix")
    expect(matrix.get_by_role("rowheader", name="Cancel an order")).to_be_visible()
    assert serious_violations(operator) == []
    cell = matrix.get_by_role("link").first
    told = re.fullmatch(r"(\d+) of (.+) taken for (.+)", cell.text_content() or "")
    assert told, cell.text_content()
    cell.click()
    expect(operator.get_by_role("heading", level=1)).to_have_text(f"{told[2]} taken for {told[3]}")
    expect(operator.locator("main li")).to_have_count(int(told[1]))
    operator.locator("main li a").first.click()
    expect(operator.get_by_label("Text")).not_to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_phone_and_nothing_sticks_out(
    browser: Browser, stack: Stack, report_url: str, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, color_scheme=scheme)
    page = context.new_page()
    sign_in(page, stack, "reviewer", to=CHECK)
    assert serious_violations(page) == []
    page.goto(report_url)
    expect(page.get_by_role("heading", name=REPORT)).to_be_visible()
    assert serious_violations(page) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    context.close()


def test_a_check_is_cancelled(operator: Page) -> None:
    start_check(operator)
    expect_to_run(operator)
    operator.get_by_role("button", name="Cancel").click()
    expect(operator.get_by_role("heading", name="The check was cancelled")).to_be_visible()
    operator.get_by_role("link", name="start another").click()
    expect(operator.get_by_role("button", name="Start the check")).to_be_visible()


def test_kill_9_of_the_training_worker_mid_check_and_another_finishes_it(operator: Page, stack: Stack) -> None:
    start_check(operator)
    expect_to_run(operator)
    children = training_children(stack)
    assert children
    for child in children:
        child.kill()
    expect(operator.get_by_role("heading", name=REPORT)).to_be_visible(timeout=TAKEN_UP_WITHIN_MS)
