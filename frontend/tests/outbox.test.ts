import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";

import * as outbox from "../src/chat/outbox";
import { openStorage } from "../src/shared/storage";

const BUSY = { code: "busy", detail: "Many people are asking." };

function one(text = "hello") {
  return outbox.add([], "a", "c", text);
}

function sent(box: outbox.Outbox = one()) {
  return outbox.markSending(box, "a");
}

describe("sending", () => {
  it("goes one at a time and in order", () => {
    const two = outbox.add(one(), "b", "c", "second");
    expect(outbox.next(two, "c", 0)).toMatchObject({ send: { clientId: "a" } });
    const sending = outbox.markSending(two, "a");
    expect(outbox.next(sending, "c", 0)).toBeNull();
    expect(outbox.next(outbox.remove(sending, "a"), "c", 0)).toMatchObject({ send: { clientId: "b" } });
  });

  it("is only for the conversation that is open", () => {
    expect(outbox.next(one(), "other", 0)).toBeNull();
  });

  it("begins once the conversation has a name", () => {
    const unnamed = outbox.add([], "a", null, "hello");
    expect(outbox.next(unnamed, "c", 0)).toBeNull();
    expect(outbox.next(outbox.adopt(unnamed, "c"), "c", 0)).toMatchObject({ send: { clientId: "a" } });
  });

  it("is repeated with the same id after the connection was lost", () => {
    expect(outbox.next(outbox.requeue(sent()), "c", 0)).toMatchObject({ send: { clientId: "a" } });
  });
});

describe("a refusal", () => {
  it.each(["rate_limited", "busy", "unavailable"])("%s is tried again, later each time", (code) => {
    const first = outbox.refuse(sent(), "a", { code, detail: "" }, 100);
    expect(outbox.next(first, "c", 100)).toEqual({ wait: 1_000 });
    expect(outbox.next(first, "c", 1_100)).toHaveProperty("send");
    const second = outbox.refuse(outbox.markSending(first, "a"), "a", { code, detail: "" }, 2_000);
    expect(outbox.next(second, "c", 2_000)).toEqual({ wait: 2_000 });
  });

  it("is tried again no sooner than the server says", () => {
    const box = outbox.refuse(sent(), "a", { ...BUSY, retry_after: 7.5 }, 0);
    expect(outbox.next(box, "c", 0)).toEqual({ wait: 7_500 });
  });

  it("is left to the visitor in the end", () => {
    let box = one();
    for (let n = 0; n < 6; n += 1) box = outbox.refuse(outbox.markSending(box, "a"), "a", BUSY, 0);
    expect(box[0]).toMatchObject({ state: "failed", detail: BUSY.detail });
    expect(outbox.next(outbox.retry(box, "a"), "c", 0)).toMatchObject({ send: { clientId: "a", tries: 0 } });
    expect(outbox.retry(box, "a")[0]).not.toHaveProperty("detail");
  });

  it.each(["too_long", "closed", "invalid_frame"])("%s is final, and lets later texts pass", (code) => {
    const box = outbox.refuse(sent(outbox.add(one(), "b", "c", "next")), "a", { code, detail: "No." }, 0);
    expect(box[0]).toMatchObject({ state: "failed", detail: "No." });
    expect(outbox.next(box, "c", 0)).toMatchObject({ send: { clientId: "b" } });
  });
});

describe("storage", () => {
  beforeEach(() => localStorage.clear());

  it("brings every text back in order, whatever happened to it", () => {
    const texts = fc.array(fc.tuple(fc.string({ minLength: 1 }), fc.boolean()), { maxLength: 6 });
    fc.assert(
      fc.property(texts, (texts) => {
        localStorage.clear();
        const storage = openStorage();
        let box: outbox.Outbox = [];
        const step = (next: outbox.Outbox, now: number) => {
          outbox.save(storage, box, next, now);
          box = next;
        };
        for (const [index, [text, refused]] of texts.entries()) {
          const id = `id-${index}`;
          step(outbox.add(box, id, "c", text), index);
          step(outbox.markSending(box, id), index);
          if (refused) step(outbox.refuse(box, id, { code: "closed", detail: "No." }, index), index);
        }
        const expected = outbox.requeue(box).map((entry) => ({ ...entry, tries: 0 }));
        expect(outbox.load(openStorage())).toEqual(expected);

        for (const { clientId } of box) step(outbox.remove(box, clientId), 99);
        expect(localStorage).toHaveLength(0);
      }),
      { numRuns: 40 },
    );
  });

  it("drops what is damaged", () => {
    localStorage.setItem("frontdesk.outbox.a", "{");
    localStorage.setItem("frontdesk.outbox.b", '{"clientId": 1}');
    expect(outbox.load(openStorage())).toEqual([]);
    expect(localStorage).toHaveLength(0);
  });

  it("leaves the texts of another tab alone", () => {
    const storage = openStorage();
    outbox.save(storage, [], one(), 1);
    outbox.save(storage, [], outbox.add([], "b", "c", "from elsewhere"), 2);
    outbox.save(storage, one(), [], 3);
    expect(outbox.load(storage).map(({ text }) => text)).toEqual(["from elsewhere"]);
  });
});
