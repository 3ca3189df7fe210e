/**
 * Markdown of replies and passages → safe HTML, block by block.
 *
 * The text is hostile: raw HTML is shown as text, images are dropped, and links are kept only where they lead to http,
 * https, mailto or a help page of this site. Blocks are separate so that a growing reply redraws only its last one.
 */
import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";

const LINK = /^(?:https?:\/\/|mailto:)/i;
const HELP_PAGE = /^\/help\/(?!\/)/;

/** The link as it may be followed, or `null` where it leads somewhere a reply has no business to point. */
export function safeHref(href: string): string | null {
  const trimmed = href.trim();
  // A control character or backslash can make a browser read another address than a person does.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\\]/.test(trimmed)) return null;
  return LINK.test(trimmed) || HELP_PAGE.test(trimmed) ? trimmed : null;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escape(text),
    image: ({ text }: Tokens.Image) => escape(text),
    link({ href, tokens }: Tokens.Link) {
      const label = this.parser.parseInline(tokens);
      const target = safeHref(href);
      return target === null ? label : `<a href="${escape(target)}">${label}</a>`;
    },
    heading({ tokens, depth }: Tokens.Heading) {
      // The page's own headings end at level 2: a reply's begin below them.
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    // Checkboxes in a reply could not be ticked by anybody.
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? "☑ " : "☐ "),
  },
});

const TAGS =
  "p br strong em del code pre a ul ol li blockquote h3 h4 h5 h6 hr table thead tbody tr th td".split(" ");

const purify = DOMPurify(globalThis.window);

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  const href = node.getAttribute("href");
  if (href === null || safeHref(href) === null) {
    node.removeAttribute("href");
    return;
  }
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

/** HTML for one Markdown text, in blocks that only depend on their own source. */
export function renderBlocks(text: string): string[] {
  return marked
    .lexer(text)
    .filter((token: Token) => token.type !== "space" && token.type !== "def")
    .map((token: Token) =>
      purify.sanitize(marked.parser([token]), {
        ALLOWED_TAGS: TAGS,
        ALLOWED_ATTR: ["href", "start", "align"],
        ALLOW_DATA_ATTR: false,
        ALLOW_ARIA_ATTR: false,
      }),
    );
}

/** Like `renderBlocks` for a reply that is still being written: what is half open is closed or held back. */
export function renderPartial(text: string): string[] {
  return renderBlocks(mend(text));
}

/** Closes or holds back constructs whose end has not arrived yet, so that markers never flash up as text. */
export function mend(text: string): string {
  const fences = text.match(/^ {0,3}(?:```|~~~)/gm) ?? [];
  // An open fence runs to the end of the text by itself, and nothing inside it is markup.
  if (fences.length % 2 === 1) return text.replace(/\n {0,3}[`~]{1,2}$/, "");

  const start = text.lastIndexOf("\n\n") + 1;
  const head = text.slice(0, start);
  let tail = text.slice(start);

  // A link that has no closing parenthesis yet shows its label alone; an image shows nothing.
  tail = tail.replace(/!\[[^\]\n]*(?:\](?:\([^)\n]*)?)?$/, "");
  tail = tail.replace(/\[([^\]\n]*)(?:\](?:\([^)\n]*)?)?$/, "$1");
  // A line that holds only a list, heading or quote marker, or the first strokes of a rule, waits for its text.
  tail = tail.replace(/(^|\n)[ \t]*(?:[-*+>#_=~|]+|\d{1,9}[.)]?)[ \t]*$/, "$1");
  // Markers at the very end may be the first half of a longer marker.
  tail = tail.replace(/(?<=\s|^)[*_~`]{1,3}$/, "");

  for (const [marker, pattern] of PAIRS) {
    const count = tail.replace(/`[^`\n]*`/g, marker === "`" ? "``" : "").match(pattern)?.length ?? 0;
    if (count % 2 === 0) continue;
    if (marker === "**" && tail.endsWith("*") && !tail.endsWith("**")) tail = tail.slice(0, -1);
    tail = tail.replace(/\s+$/, "") + marker;
  }
  return head + tail;
}

const PAIRS: readonly (readonly [string, RegExp])[] = [
  ["`", /`/g],
  ["**", /\*\*/g],
  ["~~", /~~/g],
];
