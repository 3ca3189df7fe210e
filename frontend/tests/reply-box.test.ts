import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";

import ReplyBox from "../src/inbox/components/ReplyBox.svelte";
import { strings } from "../src/inbox/strings";

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  return () => vi.unstubAllGlobals();
});

function box(more: object = {}) {
  const told = { oninput: vi.fn(), ontyping: vi.fn(), onsend: vi.fn(), onnote: vi.fn() };
  const canned = [
    { shortcut: "hello", title: "Greeting", text: "Hello!" },
    { shortcut: "goodbye", title: "Goodbye", text: "Have a lovely day!" },
  ];
  const props = { reply: "", note: "", canned, canReply: true, ...told, ...more };
  return { ...told, ...render(ReplyBox, props), props };
}

const field = () => screen.getByTestId("reply-box");

it("sends on Enter and on Ctrl + Enter, and makes a new line on Shift + Enter", async () => {
  const { onsend } = box({ reply: "Hello" });
  await userEvent.type(field(), "{Shift>}{Enter}{/Shift}");
  expect(onsend).not.toHaveBeenCalled();
  await userEvent.type(field(), "{Enter}{Control>}{Enter}{/Control}");
  expect(onsend).toHaveBeenCalledTimes(2);
});

it("offers canned replies by “/”, and inserts the chosen one in its place", async () => {
  const { oninput, onsend } = box({ reply: "Well, /by" });
  expect(screen.getAllByRole("option").map((option) => option.textContent.trim())).toEqual([
    expect.stringContaining("/goodbye"),
  ]);
  await userEvent.type(field(), "{Enter}");
  expect(oninput).toHaveBeenCalledExactlyOnceWith("reply", "Well, Have a lovely day!");
  expect(onsend).not.toHaveBeenCalled();
});

it("takes no path or fraction for a command", () => {
  box({ reply: "It is at https://shop.example/by" });
  expect(screen.queryByRole("option")).toBeNull();
});

it("takes only notes while a colleague has the conversation, and tells nobody of typing", async () => {
  const { onsend, onnote, ontyping, oninput } = box({ canReply: false, note: "Careful" });
  expect(screen.getByRole("button", { name: strings.reply })).toBeDisabled();
  await userEvent.type(field(), "!{Enter}");
  expect(oninput).toHaveBeenCalledWith("note", "Careful!");
  expect(onnote).toHaveBeenCalledOnce();
  expect([onsend.mock.calls, ontyping.mock.calls]).toEqual([[], []]);
});

it("goes on as a note where the conversation becomes the agent's in the middle of one", async () => {
  const { rerender, onsend, onnote, props } = box({ canReply: false, note: "Careful" });
  await rerender({ ...props, canReply: true });
  await userEvent.type(field(), "{Enter}");
  expect([onsend.mock.calls.length, onnote.mock.calls.length]).toEqual([0, 1]);
  await rerender({ ...props, note: "", canReply: false });
  await rerender({ ...props, note: "", canReply: true });
  expect(screen.getByRole("button", { name: strings.reply })).toHaveAttribute("aria-pressed", "true");
});
