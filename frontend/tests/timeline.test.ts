import { describe, expect, it } from "vitest";

import { articles, dayName, rows, shortTime } from "../src/chat/timeline";
import { said } from "./shop";

const WORDS = { today: "Today", yesterday: "Yesterday" };

function at(time: string) {
  return { created_at: new Date(time).toISOString() };
}

describe("rows", () => {
  it("separate the days and group what belongs together", () => {
    const list = rows([
      said(1, "customer", "a", at("2026-11-23T23:58:00")),
      said(2, "customer", "b", at("2026-11-23T23:59:00")),
      said(3, "customer", "c", at("2026-11-24T00:00:30")),
      said(4, "agent", "d", at("2026-11-24T00:01:00")),
      said(5, "agent", "e", at("2026-11-24T00:09:00")),
    ]);
    expect(
      list.map((row) => (row.kind === "date" ? "date" : [row.message.seq, row.first, row.last])),
    ).toEqual([
      "date",
      [1, true, false],
      [2, false, true],
      "date",
      [3, true, true],
      [4, true, true],
      [5, true, true],
    ]);
  });

  it("show a second answer to the same question as an answer of its own", () => {
    const time = at("2026-11-24T09:00:00");
    const list = rows([
      said(1, "bot", "a", { ...time, turn: { id: "t1" } }),
      said(2, "bot", "b", { ...time, turn: { id: "t2" } }),
    ]);
    expect(list.slice(1)).toMatchObject([{ first: true }, { first: true }]);
  });
});

describe("sources", () => {
  it("of one article are one card with several passages", () => {
    const source = (title: string, passage: string) => ({
      title,
      url: `/help/${title}/#${passage}`,
      passage,
    });
    const grouped = articles([source("a", "1"), source("b", "2"), source("a", "3")]);
    expect(grouped.map(({ title, passages }) => [title, passages.map(({ passage }) => passage)])).toEqual([
      ["a", ["1", "3"]],
      ["b", ["2"]],
    ]);
  });
});

describe("days", () => {
  const now = new Date(2026, 0, 1, 12);

  it("near ones have names, across the turn of the year too", () => {
    expect(dayName(new Date(2026, 0, 1, 1), now, WORDS)).toBe("Today");
    expect(dayName(new Date(2025, 11, 31, 23), now, WORDS)).toBe("Yesterday");
    expect(dayName(new Date(2025, 11, 30, 23), now, WORDS)).toContain("2025");
  });

  it("of another year say which", () => {
    expect(shortTime(new Date(2025, 11, 30), now)).toContain("2025");
    expect(shortTime(new Date(2026, 0, 1, 9, 5), now)).toContain("05");
  });
});
