import { beforeEach, describe, expect, it, vi } from "vitest";

import { connect, type Connection, type Listener } from "../src/chat/connection";
import { clientFrames } from "../src/shared/protocol";

/** A socket whose other end is the test. */
class FakeSocket extends EventTarget {
  static all: FakeSocket[] = [];
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;

  readyState = FakeSocket.CONNECTING;
  binaryType = "blob";
  sent: string[] = [];

  constructor(readonly url: string) {
    super();
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.readyState = FakeSocket.CLOSED;
  }

  accept(): void {
    this.readyState = FakeSocket.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  say(text: string): void {
    this.dispatchEvent(new MessageEvent("message", { data: text }));
  }

  drop(): void {
    this.readyState = FakeSocket.CLOSED;
    this.dispatchEvent(new CloseEvent("close", { code: 1006 }));
  }
}

const renew = vi.fn(() => Promise.resolve());
let listener: { [K in keyof Listener]: ReturnType<typeof vi.fn<Listener[K]>> };
let connection: Connection;

/** The socket in use; there is one once the library's own promises have run. */
async function socket(): Promise<FakeSocket> {
  await vi.advanceTimersByTimeAsync(1);
  const last = FakeSocket.all.at(-1);
  if (!last) throw new Error("no socket was opened");
  return last;
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  renew.mockReset().mockResolvedValue(undefined);
  listener = { opened: vi.fn(), closed: vi.fn(), received: vi.fn(), garbled: vi.fn() };
  connection = connect({ url: "ws://shop/ws/chat/", renew, WebSocket: FakeSocket }, listener);
  return () => {
    connection.close();
    vi.useRealTimers();
  };
});

describe("the connection", () => {
  it("sends only when it is open", async () => {
    expect(connection.send(clientFrames.hello())).toBe(false);
    (await socket()).accept();
    expect(listener.opened).toHaveBeenCalledOnce();
    expect(connection.send(clientFrames.hello())).toBe(true);
    expect((await socket()).sent).toEqual(['{"type":"hello","protocol":1}']);
  });

  it("parses what arrives, and reports what it cannot read", async () => {
    const open = await socket();
    open.accept();
    open.say('{"type": "resync"}');
    expect(listener.received).toHaveBeenCalledExactlyOnceWith({ type: "resync" });
    open.say('{"type": "something new"}');
    open.say("{");
    expect(listener.received).toHaveBeenCalledOnce();
    expect(listener.garbled).toHaveBeenCalledOnce();
  });

  it("pings every 20 s and gives up on a server that does not answer", async () => {
    const open = await socket();
    open.accept();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(open.sent).toEqual(['{"type":"ping"}']);
    open.say('{"type": "pong"}');
    await vi.advanceTimersByTimeAsync(20_000);
    expect(open.sent).toHaveLength(2);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(listener.closed).toHaveBeenCalled();
    expect(await socket()).not.toBe(open);
    expect(FakeSocket.all).toHaveLength(2);
    expect(open.readyState).toBe(FakeSocket.CLOSED);
  });

  it("comes back by itself", async () => {
    const first = await socket();
    first.accept();
    first.drop();
    expect(listener.closed).toHaveBeenCalledExactlyOnceWith(1);
    await vi.advanceTimersByTimeAsync(15_000);
    const second = await socket();
    expect(second).not.toBe(first);
    second.accept();
    expect(listener.opened).toHaveBeenCalledTimes(2);
  });

  it("renews the visitor's cookie when it is refused again and again", async () => {
    (await socket()).drop();
    await vi.advanceTimersByTimeAsync(1_500);
    expect(renew).not.toHaveBeenCalled();
    (await socket()).drop();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(renew).toHaveBeenCalled();
    renew.mockRejectedValue(new Error("down"));
    (await socket()).drop();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(FakeSocket.all.length).toBeGreaterThanOrEqual(4);
  });

  it("renews also where it is accepted only to be closed, as the inbox of somebody who has signed out", async () => {
    for (let n = 0; n < 3; n += 1) {
      const accepted = await socket();
      accepted.accept();
      accepted.drop();
      await vi.advanceTimersByTimeAsync(11_000);
    }
    expect(renew).toHaveBeenCalled();
  });

  it("connects at once when asked to, whatever backoff is running", async () => {
    for (let n = 0; n < 6; n += 1) {
      (await socket()).drop();
      await vi.advanceTimersByTimeAsync(11_000);
    }
    (await socket()).drop();
    const before = FakeSocket.all.length;
    connection.reconnect();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(before + 1);
  });

  it("hears nothing more from a socket that it has given up", async () => {
    const first = await socket();
    first.accept();
    connection.reconnect();
    listener.received.mockClear();
    first.say('{"type": "pong"}');
    expect(listener.received).not.toHaveBeenCalled();
  });
});
