import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { mend, renderBlocks, renderPartial, safeHref } from "../src/shared/markdown";

function dom(html: string[]): HTMLElement {
  const root = document.createElement("div");
  root.innerHTML = html.join("");
  return root;
}

describe("hostile text", () => {
  it.each([
    ["a script", "<script>alert(1)</script>"],
    ["an image", "![x](https://evil.example/x.png)"],
    ["an image with a handler", "<img src=x onerror=alert(1)>"],
    ["a frame", "<iframe src='https://evil.example'></iframe>"],
    ["a script link", "[click](javascript:alert(1))"],
    ["a script link in disguise", "[click](JaVaScRiPt&colon;alert(1))"],
    ["a data link", "[click](data:text/html,<script>alert(1)</script>)"],
    ["an autolink to a script", "<javascript:alert(1)>"],
    ["a form", "<form action=https://evil.example><input name=password></form>"],
    ["a style", "<style>*{display:none}</style><p style='position:fixed'>x</p>"],
    ["an svg", "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>"],
    ["a reference link", "[click][1]\n\n[1]: javascript:alert(1)"],
  ])("%s does nothing", (_name, text) => {
    const root = dom(renderBlocks(text));
    expect(
      root.querySelector("script, img, iframe, form, input, style, svg, object, embed, link"),
    ).toBeNull();
    expect(root.querySelector("[onerror], [style], [src], [id], [class]")).toBeNull();
    for (const link of root.querySelectorAll("a"))
      expect(link.getAttribute("href") ?? "").not.toMatch(/script|data/i);
  });

  it("never yields an element or attribute that is not allowed", () => {
    const piece = fc.constantFrom(
      ..."<a href=,<img src=x onerror=alert(1),>,\",',</a>,[x](,),![,],javascript:,**,_,`,\n,\n\n,- ,1. ,|a|b|\n|-|-|\n,<!--,-->,&lt;,text,# ,<b onclick=x>,https://x.example".split(
        ",",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        for (const blocks of [renderBlocks(pieces.join("")), renderPartial(pieces.join(""))]) {
          for (const element of dom(blocks).querySelectorAll("*")) {
            expect(element.tagName).toMatch(
              /^(P|BR|STRONG|EM|DEL|CODE|PRE|A|UL|OL|LI|BLOCKQUOTE|H[3-6]|HR|TABLE|THEAD|TBODY|TR|TH|TD)$/,
            );
            for (const { name } of element.attributes)
              expect(name).toMatch(/^(href|target|rel|start|align)$/);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("links", () => {
  it.each([
    "https://shop.example/a?b=1",
    "http://shop.example",
    "mailto:help@shop.example",
    "/help/cancel-an-order/#a",
  ])("to %s are kept", (href) => {
    expect(safeHref(href)).toBe(href);
    const link = dom(renderBlocks(`[label](${href})`)).querySelector("a");
    expect(link?.getAttribute("href")).toBe(href);
    expect(link?.target).toBe("_blank");
    expect(link?.rel).toBe("noopener noreferrer");
  });

  it.each([
    "javascript:alert(1)",
    "//evil.example",
    "/admin/",
    "/help//evil",
    "help/x",
    "ftp://x",
    "\\\\evil",
    "java\nscript:x",
  ])("to %j are not", (href) => {
    expect(safeHref(href)).toBeNull();
  });

  it("lose only the link, not the words", () => {
    const root = dom(renderBlocks("[the **words**](/admin/)"));
    expect(root.textContent?.trim()).toBe("the words");
    expect(root.querySelector("strong")).not.toBeNull();
  });
});

describe("a reply that is still being written", () => {
  it.each([
    ["**bold", "bold"],
    ["**bold*", "bold"],
    ["one *", "one"],
    ["see [the article", "see the article"],
    ["see [the article](/help/canc", "see the article"],
    ["here `code", "here code"],
    ["text\n\n-", "text"],
    ["text\n\n1.", "text"],
    ["text\n\n##", "text"],
    ["![alt](htt", ""],
    ["~~gone", "gone"],
  ])("%j shows %j", (text, shown) => {
    expect(dom(renderPartial(text)).textContent?.trim()).toBe(shown);
  });

  it("shows emphasis from its first word on", () => {
    expect(renderPartial("This is **impor")).toEqual(["<p>This is <strong>impor</strong></p>\n"]);
  });

  it("leaves an open code block alone", () => {
    expect(mend("```\na ** b")).toBe("```\na ** b");
    expect(dom(renderPartial("```\n**a")).querySelector("pre code")?.textContent).toBe("**a\n");
  });

  it("changes nothing in a text that is complete", () => {
    const text = "A **b** and [c](https://d.example).\n\n1. One\n2. `two`\n\n```\nx\n```\n\nEnd.";
    expect(renderPartial(text)).toEqual(renderBlocks(text));
  });

  it("draws only the last block again while it grows", () => {
    const text = "First paragraph.\n\n1. One\n2. Two\n\nThe **end** is near.";
    let previous: string[] = [];
    for (let end = 1; end <= text.length; end += 1) {
      const blocks = renderPartial(text.slice(0, end));
      expect(blocks.slice(0, previous.length - 1)).toEqual(previous.slice(0, -1));
      previous = blocks;
    }
    expect(previous).toHaveLength(3);
  });
});
