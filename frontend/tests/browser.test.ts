import { describe, expect, it } from "vitest";

import { conversationIn, newId, socketAddress } from "../src/shared/browser";

describe("the page's address", () => {
  it("names a conversation, or something else that is none", () => {
    const id = "0b6b5b00-1111-4222-8333-444455556666";
    expect(conversationIn(`#${id}`)).toBe(id);
    for (const other of ["", "#", "#content", id, `#${id}x`]) expect(conversationIn(other)).toBeNull();
  });

  it("gives that of its sockets", () => {
    expect(socketAddress("/ws/chat/")).toBe(`${location.origin.replace("http", "ws")}/ws/chat/`);
  });
});

describe("ids", () => {
  it("are what the protocol takes, and never the same twice", () => {
    const made = Array.from({ length: 100 }, newId);
    expect(new Set(made).size).toBe(made.length);
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });
});
