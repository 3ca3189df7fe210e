from __future__ import annotations

import pytest

from chatbot.knowledge.markdown import render_markdown


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](file:///etc/passwd)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "![x](javascript:alert(1))",
        "<a href='javascript:alert(1)'>x</a>",
    ],
)
def test_links_lead_nowhere_unsafe(text: str) -> None:
    html = render_markdown(text)
    assert "<a " not in html
    assert "<img" not in html


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b onclick=x>hi</b>"])
def test_raw_html_is_text(text: str) -> None:
    html = render_markdown(text)
    assert html.count("<") == html.count("<p>") + html.count("</p>")
    assert "&lt;" in html


def test_only_links_to_other_sites_are_marked_as_such() -> None:
    html = render_markdown(
        "[in](/help/x/) [out](https://example.com/a) [bare](//example.com) [us](mailto:a@example.com)"
    )
    assert '<a href="/help/x/">in</a>' in html
    assert '<a href="https://example.com/a" rel="noopener noreferrer">out</a>' in html
    assert '<a href="//example.com" rel="noopener noreferrer">bare</a>' in html
    assert '<a href="mailto:a@example.com">us</a>' in html


def test_the_title_stays_the_only_first_heading() -> None:
    assert render_markdown("# Top\n\n## Below") == '<h2 id="top">Top</h2>\n<h2 id="below">Below</h2>\n'


def test_nothing_carries_a_style_that_the_policy_would_refuse() -> None:
    assert "style" not in render_markdown("| a |\n|--:|\n| b |")


def test_images_leave_their_description() -> None:
    assert render_markdown('![A *red* "tent" <b>](/x.png)') == "<p>A red &quot;tent&quot; &lt;b&gt;</p>\n".replace(
        "&quot;", '"'
    )
