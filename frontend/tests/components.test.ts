import { cleanup, render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import App from "../src/chat/App.svelte";
import { openStorage } from "../src/shared/storage";
import { C1, said, Shop } from "./shop";

let shop: Shop;

/** jsdom lays nothing out; these only have to exist. */
class Observer {
  observe(): void {}
  disconnect(): void {}
}

function media(matching: string[]) {
  vi.stubGlobal("matchMedia", (query: string) => ({ matches: matching.includes(query) }));
}

beforeEach(() => {
  localStorage.clear();
  document.documentElement.removeAttribute("data-theme");
  vi.stubGlobal("ResizeObserver", Observer);
  vi.stubGlobal("IntersectionObserver", Observer);
  media([]);
  // jsdom has neither.
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
  };
  Element.prototype.scrollIntoView = () => undefined;
  shop = new Shop();
  return () => vi.unstubAllGlobals();
});

function page() {
  const session = shop.page();
  render(App, { session, storage: openStorage() });
  shop.open();
  shop.ready();
  return session;
}

function answered(more: Parameters<typeof said>[3] = {}) {
  const session = page();
  shop.ready({
    messages: [
      said(1, "customer", "Can I cancel?", { turn: { id: "turn-1", status: "done" } }),
      said(2, "bot", "Yes, **you can**.", { turn: { id: "turn-1" }, ...more }),
    ],
    seq: 2,
  });
  return session;
}

describe("an empty conversation", () => {
  it("greets and sends a starter question with one click", async () => {
    page();
    expect(await screen.findByRole("heading", { name: "Hello!" })).toBeVisible();
    expect(screen.getByRole("heading", { level: 1 })).toHaveTextContent("Shop");
    await userEvent.click(screen.getByTestId("starter"));
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "Where is it?" }]);
  });

  it("is ready for typing", async () => {
    page();
    expect(screen.getByRole("textbox", { name: "Your message" })).toHaveFocus();
    await waitFor(() => expect(screen.getByTestId("connection-status")).toHaveTextContent("Connected"));
  });
});

describe("the message box", () => {
  it("sends with Enter, makes a line with Shift + Enter, and is empty afterwards", async () => {
    page();
    const box = screen.getByTestId("composer");
    await userEvent.type(box, "one{Shift>}{Enter}{/Shift}two{Enter}");
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "one\ntwo" }]);
    expect(box).toHaveValue("");
    expect(box).toHaveFocus();
  });

  it("leaves Enter to an input method that is composing", async () => {
    page();
    const box = screen.getByTestId("composer");
    await userEvent.type(box, "にほん");
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true }));
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true }));
    expect(shop.sentOf("message.send")).toEqual([]);
  });

  it("makes a line with Enter on a touch keyboard", async () => {
    media(["(hover: none) and (pointer: coarse)"]);
    page();
    await userEvent.type(screen.getByTestId("composer"), "one{Enter}two");
    expect(shop.sentOf("message.send")).toEqual([]);
    await userEvent.click(screen.getByTestId("send"));
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "one\ntwo" }]);
  });

  it("counts near the limit and sends nothing beyond it", async () => {
    const session = page();
    session.setDraft("😀".repeat(3_990));
    expect(await screen.findByText("10 characters left")).toBeVisible();
    session.setDraft("x".repeat(4_001));
    expect(await screen.findByText("1 character too many")).toBeVisible();
    expect(screen.getByTestId("send")).toBeDisabled();
  });
});

describe("a reply", () => {
  it("is shown while it is written, can be stopped with Escape, and says so", async () => {
    const session = page();
    session.send("Hi");
    shop.accept("id-1", 1, "Hi");
    expect(await screen.findByTestId("provisional")).toHaveTextContent("Thinking…");
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 0, text: "Well, **you" });
    await waitFor(() =>
      expect(screen.getByTestId("provisional").querySelector("strong")).toHaveTextContent("you"),
    );
    expect(screen.getByTestId("announcer").textContent).toBe("");
    await userEvent.keyboard("{Escape}");
    expect(shop.sentOf("turn.cancel")).toEqual([{ type: "turn.cancel", turn: "turn-1" }]);
    expect(screen.getByTestId("stop")).toBeDisabled();
    shop.say({
      type: "turn.cancelled",
      turn: "turn-1",
      message: said(2, "bot", "Well, **you", { stopped: true, turn: { id: "turn-1" } }),
    });
    expect(await screen.findByText("You stopped this answer.")).toBeVisible();
    expect(screen.queryByTestId("stop")).toBeNull();
    expect(screen.getByTestId("retry")).toBeVisible();
  });

  it("shows its sources, which open, and links only where they may lead", async () => {
    answered({
      sources: [
        { title: "Cancel an order", url: "/help/cancel/#a", passage: "Until it **ships**." },
        { title: "Evil", url: "javascript:alert(1)", passage: "<img src=x>" },
      ],
    });
    const [good, evil] = await screen.findAllByTestId("source");
    await userEvent.click(within(good as HTMLElement).getByText("Cancel an order"));
    expect(good).toHaveAttribute("open");
    expect(within(good as HTMLElement).getByRole("link")).toHaveAttribute("href", "/help/cancel/#a");
    expect((evil as HTMLElement).querySelector("a, img")).toBeNull();
  });

  it("offers quick replies only below the latest message", async () => {
    const session = answered({ quick_replies: ["Talk to a person"] });
    await userEvent.click(await screen.findByTestId("quick-reply"));
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "Talk to a person" }]);
    shop.accept("id-1", 3, "Talk to a person", null);
    await waitFor(() => expect(screen.queryByTestId("quick-reply")).toBeNull());
    expect(session.thread.messages).toHaveLength(3);
  });

  it("is rated down with a reason, and the rating can be taken back", async () => {
    answered();
    await userEvent.click(await screen.findByTestId("thumb-down"));
    expect(shop.sentOf("message.rate")).toEqual([{ type: "message.rate", message: "m2", rating: "down" }]);
    const dialog = await screen.findByTestId("rating-dialog");
    await userEvent.click(within(dialog).getByLabelText("It is not correct"));
    await userEvent.type(within(dialog).getByRole("textbox"), "It is 3 days");
    await userEvent.click(within(dialog).getByRole("button", { name: "Send feedback" }));
    expect(shop.sentOf("message.rate").at(-1)).toEqual({
      type: "message.rate",
      message: "m2",
      rating: "down",
      reason: "It is not correct. It is 3 days",
    });
    expect(screen.queryByTestId("rating-dialog")).toBeNull();
    expect(screen.getByTestId("thumb-down")).toHaveAttribute("aria-pressed", "true");
    await userEvent.click(screen.getByTestId("undo-rating"));
    expect(shop.sentOf("message.rate").at(-1)).toEqual({ type: "message.rate", message: "m2", rating: null });
    expect(screen.getByTestId("thumb-down")).toHaveAttribute("aria-pressed", "false");
  });

  it("keeps running when Escape only closes the rating", async () => {
    const session = answered();
    session.send("And then?");
    shop.accept("id-1", 3, "And then?");
    await userEvent.click(await screen.findByTestId("thumb-down"));
    await waitFor(() =>
      expect(screen.getByTestId("rating-dialog")).toContainElement(document.activeElement as HTMLElement),
    );
    await userEvent.keyboard("{Escape}");
    expect(screen.queryByTestId("rating-dialog")).toBeNull();
    expect(shop.sentOf("turn.cancel")).toEqual([]);
    expect(screen.getByTestId("thumb-down")).toHaveFocus();
  });

  it("that failed says so in the page's language, and offers another try and a person", async () => {
    const session = page();
    session.send("Hi");
    shop.accept("id-1", 1, "Hi");
    shop.say({ type: "turn.failed", turn: "turn-1", code: "engine", detail: "The model is resting." });
    const failure = await screen.findByTestId("failure");
    expect(failure).toHaveTextContent("I am sorry, I could not answer this.");
    expect(screen.getByTestId("announcer")).toHaveTextContent("I am sorry, I could not answer this.");
    await userEvent.click(within(failure).getByRole("button", { name: "Talk to a person" }));
    expect(shop.sentOf("conversation.handoff")).toHaveLength(1);
    await userEvent.click(within(failure).getByRole("button", { name: "Try again" }));
    expect(shop.sentOf("turn.retry")).toEqual([{ type: "turn.retry", turn: "turn-1" }]);
    expect(screen.queryByTestId("failure")).toBeNull();
    expect(screen.getByTestId("provisional")).toBeVisible();
  });
});

describe("hostile text", () => {
  it("stays text in every role", async () => {
    page();
    const evil = "<img src=x onerror=alert(1)>";
    shop.ready({
      messages: (["customer", "bot", "agent", "system"] as const).map((role, index) =>
        said(index + 1, role, evil),
      ),
      seq: 4,
    });
    const messages = await screen.findAllByTestId("message");
    expect(messages).toHaveLength(4);
    for (const message of messages) {
      expect(message.querySelector("img")).toBeNull();
      expect(message).toHaveTextContent(evil);
    }
  });
});

describe("the state of things", () => {
  it("waiting for a person can be undone", async () => {
    page();
    shop.ready({ status: "waiting" });
    const banner = await screen.findByTestId("waiting-banner");
    await userEvent.click(within(banner).getByRole("button", { name: "Go back to the assistant" }));
    expect(shop.sentOf("conversation.return")).toHaveLength(1);
  });

  it("a closed conversation takes no more messages", async () => {
    answered({ quick_replies: ["More"] });
    shop.ready({ status: "closed", messages: [said(2, "bot", "Bye", { quick_replies: ["More"] })], seq: 2 });
    await userEvent.click(await screen.findByTestId("start-new"));
    expect(shop.sentOf("conversation.new")).toHaveLength(1);
    expect(screen.queryByTestId("composer")).toBeNull();
    expect(screen.queryByTestId("quick-reply")).toBeNull();
  });

  it("an unsent text can be sent again, edited or discarded", async () => {
    const session = page();
    session.send("Hello?");
    shop.say({ type: "error", code: "too_long", detail: "Too long.", client_id: "id-1" });
    const unsent = await screen.findByTestId("unsent");
    expect(unsent).toHaveTextContent("Not sent: Too long.");
    await userEvent.click(within(unsent).getByRole("button", { name: "Retry" }));
    expect(shop.sentOf("message.send")).toHaveLength(2);
    shop.say({ type: "error", code: "too_long", detail: "Too long.", client_id: "id-1" });
    await userEvent.click(await screen.findByRole("button", { name: "Edit" }));
    expect(screen.getByTestId("composer")).toHaveValue("Hello?");
    expect(screen.queryByTestId("unsent")).toBeNull();
  });

  it("being offline says what to do", async () => {
    const session = page();
    session.networkLost();
    expect(await screen.findByTestId("offline-banner")).toHaveTextContent("is kept here");
    await userEvent.click(screen.getByRole("button", { name: "Try now" }));
    expect(shop.reconnects).toBe(1);
  });
});

describe("conversations", () => {
  it("are listed, and one click opens another", async () => {
    vi.spyOn(shop.api, "conversations").mockResolvedValue([
      { id: "c2", title: "A parcel", status: "waiting", updated_at: "2026-11-23T09:00:00Z" },
    ]);
    page();
    const item = await screen.findByTestId("conversation-item");
    expect(item).toHaveTextContent("Waiting for a person");
    await userEvent.click(item);
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1, conversation: "c2" });
  });

  it("are behind a button on a phone", async () => {
    page();
    await userEvent.click(screen.getByTestId("open-drawer"));
    const drawer = await screen.findByRole("dialog", { name: "Conversations" });
    await userEvent.click(within(drawer).getByTestId("new-conversation"));
    expect(shop.sentOf("conversation.new")).toHaveLength(1);
    expect(screen.queryByRole("dialog", { name: "Conversations" })).toBeNull();
  });
});

describe("the theme", () => {
  it("follows the system until it is chosen, and remembers the choice", async () => {
    page();
    const toggle = screen.getByTestId("theme-toggle");
    expect(document.documentElement).not.toHaveAttribute("data-theme");
    await userEvent.click(toggle);
    expect(document.documentElement).toHaveAttribute("data-theme", "dark");
    expect(localStorage.getItem("frontdesk.theme")).toBe("dark");
    expect(toggle).toHaveAccessibleName("Use light colours");
    await userEvent.click(toggle);
    expect(localStorage.getItem("frontdesk.theme")).toBeNull();
  });
});

describe("the end of a conversation", () => {
  const messages = [said(1, "customer", "Thank you")];

  async function ended(more: { open: boolean; score?: number; comment?: string } = { open: true }) {
    const session = page();
    shop.ready({ messages, seq: 1 });
    shop.say({ type: "conversation.updated", conversation: C1, status: "closed", survey: more });
    await screen.findByTestId("closed-banner");
    return session;
  }

  it("is asked for, confirmed, and leaves the focus on the survey", async () => {
    page();
    expect(screen.queryByTestId("end-conversation")).toBeNull();
    shop.ready({ messages, seq: 1 });
    await userEvent.click(await screen.findByTestId("end-conversation"));
    expect(shop.sentOf("conversation.end")).toEqual([]);
    await userEvent.click(screen.getByTestId("end-yes"));
    expect(shop.sentOf("conversation.end")).toHaveLength(1);
    shop.say({
      type: "conversation.updated",
      conversation: C1,
      status: "closed",
      survey: { open: true },
    });
    await waitFor(() => expect(screen.getByRole("radio", { name: "1, Very bad" })).toHaveFocus());
  });

  it("sends a score and a comment, and lets both be changed", async () => {
    await ended();
    expect(screen.getByTestId("survey-send")).toBeDisabled();
    await userEvent.click(screen.getByRole("radio", { name: "4, Good" }));
    await userEvent.type(screen.getByTestId("survey-comment"), "Quick");
    await userEvent.click(screen.getByTestId("survey-send"));
    expect(shop.sentOf("conversation.rate")).toEqual([
      { type: "conversation.rate", score: 4, comment: "Quick" },
    ]);
    shop.say({
      type: "conversation.updated",
      conversation: C1,
      status: "closed",
      survey: { open: true, score: 4, comment: "Quick" },
    });
    expect(await screen.findByTestId("survey-answer")).toHaveTextContent("You gave 4 of 5.");
    await userEvent.click(screen.getByTestId("survey-change"));
    expect(screen.getByRole("radio", { name: "4, Good" })).toBeChecked();
    expect(screen.getByTestId("survey-comment")).toHaveValue("Quick");
  });

  it("is not asked about again once it was skipped, and can be rated all the same", async () => {
    await ended();
    await userEvent.click(screen.getByTestId("survey-skip"));
    expect(screen.getByTestId("survey-offer")).toHaveFocus();
    expect(shop.sentOf("conversation.rate")).toEqual([]);
    cleanup();
    await ended();
    expect(screen.queryByTestId("survey-send")).toBeNull();
    expect(screen.getByTestId("survey-offer")).toBeVisible();
  });

  it("shows what was given, and no more questions, once another conversation has begun", async () => {
    await ended({ open: false, score: 2 });
    expect(screen.getByTestId("survey-answer")).toHaveTextContent("You gave 2 of 5.");
    expect(screen.queryByTestId("survey-change")).toBeNull();
  });

  it("keeps what was chosen where there is no connection", async () => {
    await ended();
    await userEvent.click(screen.getByRole("radio", { name: "5, Very good" }));
    shop.lose();
    await userEvent.click(screen.getByTestId("survey-send"));
    expect(screen.getByRole("radio", { name: "5, Very good" })).toBeChecked();
    expect(screen.getByTestId("notice")).toBeVisible();
  });
});
