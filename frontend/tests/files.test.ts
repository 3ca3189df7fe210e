/** Files: from the picker, the clipboard or a drop to the message that carries them, and everything that can go wrong. */
import { render, screen, waitFor } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import App from "../src/chat/App.svelte";
import { UploadRefused } from "../src/chat/files/fileServer";
import type { Attachment } from "../src/shared/protocol";
import { openStorage } from "../src/shared/storage";
import { C1, C2, said, Shop } from "./shop";

let shop: Shop;

/** jsdom lays nothing out; it only has to exist. */
class Observer {
  observe(): void {}
  disconnect(): void {}
}

beforeEach(() => {
  localStorage.clear();
  vi.stubGlobal("ResizeObserver", Observer);
  vi.stubGlobal("IntersectionObserver", Observer);
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  // jsdom has none of these.
  Element.prototype.scrollIntoView = () => undefined;
  URL.createObjectURL = () => "blob:picture";
  URL.revokeObjectURL = () => undefined;
  shop = new Shop();
  return () => vi.unstubAllGlobals();
});

async function page() {
  const session = shop.page();
  render(App, { session, storage: openStorage() });
  shop.open();
  shop.ready();
  await screen.findByTestId("attach");
  return session;
}

const PHOTO = new File(["x"], "parcel.jpg", { type: "image/jpeg" });

function kept(id = "f1", name = "parcel.jpg"): Attachment {
  return { id, kind: "image", name, type: "image/jpeg", size: 2048, width: 800, height: 600 };
}

async function choose(...files: File[]) {
  await userEvent.upload(screen.getByTestId<HTMLInputElement>("file-field"), files, { applyAccept: false });
}

function state(): (string | undefined)[] {
  return screen.queryAllByTestId("tray-item").map((item) => item.dataset.state);
}

describe("a file that is attached", () => {
  it("is uploaded with its progress, and goes along with the text", async () => {
    await page();
    await userEvent.type(screen.getByTestId("composer"), "It came broken");
    await choose(PHOTO);
    expect(shop.uploads[0]).toMatchObject({ conversation: C1 });
    shop.uploads[0]?.progress(0.5);
    await waitFor(() => expect(screen.getByRole("progressbar")).toHaveValue(0.5));
    expect(screen.getByTestId("send")).toBeDisabled();
    shop.settle[0]?.(kept());
    await waitFor(() => expect(state()).toEqual(["ready"]));
    await userEvent.click(screen.getByTestId("send"));
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "It came broken", attachments: ["f1"] }]);
    expect(state()).toEqual([]);
    expect(screen.getByTestId("unsent")).toHaveTextContent("parcel.jpg");
  });

  it("may be sent without a word", async () => {
    await page();
    await choose(PHOTO);
    shop.settle[0]?.(kept());
    await waitFor(() => expect(screen.getByTestId("send")).toBeEnabled());
    await userEvent.click(screen.getByTestId("send"));
    expect(shop.sentOf("message.send")).toMatchObject([{ text: "", attachments: ["f1"] }]);
  });

  it("may be pasted, and dropped", async () => {
    await page();
    await userEvent.click(screen.getByTestId("composer"));
    const clipboardData = { files: [PHOTO], types: ["Files"] };
    const paste = Object.assign(new Event("paste", { bubbles: true, cancelable: true }), { clipboardData });
    screen.getByTestId("composer").dispatchEvent(paste);
    expect(paste.defaultPrevented).toBe(true);
    const drop = Object.assign(new Event("drop", { bubbles: true, cancelable: true }), {
      dataTransfer: { files: [PHOTO], types: ["Files"] },
    });
    window.dispatchEvent(drop);
    expect(drop.defaultPrevented).toBe(true);
    expect(shop.uploads).toHaveLength(2);
  });

  it("is cancelled while it is uploaded, and taken back afterwards", async () => {
    await page();
    await choose(PHOTO);
    await userEvent.click(screen.getByRole("button", { name: "Cancel the upload of parcel.jpg" }));
    expect(shop.uploads[0]?.aborted).toBe(true);
    // It had arrived in the same moment.
    shop.settle[0]?.(kept());
    await waitFor(() => expect(shop.discarded).toEqual(["f1"]));
    await choose(PHOTO);
    shop.settle[1]?.(kept("f2"));
    await userEvent.click(await screen.findByRole("button", { name: "Remove parcel.jpg" }));
    expect(shop.discarded).toEqual(["f1", "f2"]);
    expect(state()).toEqual([]);
  });

  it("is told how large it may be without being uploaded", async () => {
    await page();
    const large = new File([new Uint8Array(12 * 2 ** 20)], "film.pdf", { type: "application/pdf" });
    await choose(large);
    expect(screen.getByTestId("tray-item")).toHaveTextContent("This file is 12 MB; at most 5 MB.");
    expect(screen.queryByTestId("retry-file")).toBeNull();
    expect(shop.uploads).toHaveLength(0);
    expect(screen.getByTestId("send")).toBeDisabled();
  });

  it("is one of no more than a message can have", async () => {
    await page();
    await choose(PHOTO, PHOTO, PHOTO);
    expect(state()).toEqual(["uploading", "uploading", "failed"]);
    expect(screen.getAllByTestId("tray-item")[2]).toHaveTextContent("2 files at most");
  });

  it("is uploaded again where the connection failed, and not where it is refused", async () => {
    await page();
    await choose(PHOTO);
    shop.settle[0]?.(new Error("no network"));
    await userEvent.click(await screen.findByTestId("retry-file"));
    shop.settle[1]?.(new UploadRefused("damaged", "?"));
    await waitFor(() => expect(state()).toEqual(["failed"]));
    expect(screen.getByTestId("tray-item")).toHaveTextContent("damaged or not complete");
    expect(screen.queryByTestId("retry-file")).toBeNull();
  });

  it("stays with its conversation, and survives a reload", async () => {
    const session = await page();
    await choose(PHOTO);
    shop.settle[0]?.(kept());
    await waitFor(() => expect(state()).toEqual(["ready"]));
    session.openConversation(C2);
    shop.ready({ conversation: C2 });
    await waitFor(() => expect(state()).toEqual([]));
    const again = shop.page();
    shop.open();
    shop.ready();
    expect(again.tray.in(C1).map(({ name }) => name)).toEqual(["parcel.jpg"]);
    expect(again.tray.in(C2)).toEqual([]);
  });

  it("comes back with the text of a message that was refused", async () => {
    await page();
    await choose(PHOTO);
    shop.settle[0]?.(kept());
    await waitFor(() => expect(state()).toEqual(["ready"]));
    await userEvent.type(screen.getByTestId("composer"), "Look{Enter}");
    const clientId = shop.sentOf("message.send")[0]?.client_id ?? "";
    shop.say({ type: "error", code: "attachment", detail: "A file is no longer here.", client_id: clientId });
    await userEvent.click(await screen.findByTestId("edit-unsent"));
    expect(screen.getByTestId("composer")).toHaveValue("Look");
    expect(state()).toEqual(["ready"]);
  });
});

describe("a message with files", () => {
  it("shows a preview and offers the download", async () => {
    await page();
    shop.ready({ messages: [said(1, "customer", "", { attachments: [kept()] })], seq: 1 });
    const link = await screen.findByTestId("attachment");
    expect(link).toHaveAttribute("href", "/api/attachments/f1");
    expect(link).toHaveAttribute("download", "parcel.jpg");
    expect(link.querySelector("img")).toHaveAttribute("src", "/api/attachments/f1/preview");
  });
});

describe("where no files are taken", () => {
  it("there is no button for them", async () => {
    const { chat } = shop.api;
    shop.api = { ...shop.api, chat: async () => ({ ...(await chat()), attachments: null }) };
    const session = shop.page();
    render(App, { session, storage: openStorage() });
    shop.open();
    shop.ready();
    await screen.findByRole("heading", { name: "Hello!" });
    expect(screen.queryByTestId("attach")).toBeNull();
  });
});
