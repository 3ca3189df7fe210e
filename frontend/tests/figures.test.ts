import { describe, expect, it } from "vitest";

import { readMeasured } from "../src/dashboard/measured";
import { fromZero, legendValue, plotData, PLOTS } from "../src/dashboard/plots";
import { axisTime, duration, fullTime, percent, plain } from "../src/dashboard/wording";

const BEGAN = Date.UTC(2026, 10, 25, 12) / 1000;
const HALF_HOUR = 1800;

/** A table as the server writes it; a figure that was not measured has no `<data>`. */
function table(rows: [time: string, ...values: (string | null)[]][], steps = 4): HTMLTableElement {
  const cells = (values: (string | null)[]): string =>
    values
      .map((value) => `<td>${value === null ? "–" : `<data value="${value}">shown</data>`}</td>`)
      .join("");
  document.body.innerHTML = `
    <table data-began="2026-11-25T12:00:00+00:00" data-step="${HALF_HOUR}" data-steps="${steps}" data-time-zone="UTC">
      <thead><tr><th>Time</th>
        <th data-figure="turns">Turns</th><th data-figure="failed">Failed</th><th data-figure="queue_p50">Wait</th>
      </tr></thead>
      <tbody>${rows.map(([time, ...values]) => `<tr><th><time datetime="${time}">shown</time></th>${cells(values)}</tr>`).join("")}</tbody>
    </table>`;
  const found = document.querySelector("table");
  if (found === null) throw new Error("no table");
  return found;
}

describe("the table's figures", () => {
  it("are put in the order of time, with a place for intervals that it leaves out", () => {
    const measured = readMeasured(
      table([
        ["2026-11-25T13:30:00+00:00", "3", "1", "0.25"],
        ["2026-11-25T12:30:00+00:00", "2", "0", "0.041"],
      ]),
    );
    expect(measured.times).toEqual([0, 1, 2, 3].map((index) => BEGAN + index * HALF_HOUR));
    expect(Object.fromEntries(measured.columns)).toEqual({
      turns: [0, 2, 0, 3],
      failed: [0, 0, 0, 1],
      queue_p50: [null, 0.041, null, 0.25],
    });
  });

  it("are null where nothing was measured, never zero", () => {
    const measured = readMeasured(table([["2026-11-25T12:00:00+00:00", "1", "1", null]], 1));
    expect(measured.columns.get("queue_p50")).toEqual([null]);
    expect(measured.columns.get("turns")).toEqual([1]);
  });

  it("are found by their moment, in whatever offset the server writes it", () => {
    const measured = readMeasured(table([["2026-11-25T14:30:00+02:00", "5", "0", "1"]]));
    expect(measured.columns.get("turns")).toEqual([0, 5, 0, 0]);
  });

  it("of a time outside the range have no place", () => {
    const measured = readMeasured(table([["2026-11-25T11:30:00+00:00", "9", "0", "1"]]));
    expect(measured.columns.get("turns")).toEqual([0, 0, 0, 0]);
  });
});

describe("a plot", () => {
  it("has its times first and then a column for each of its lines", () => {
    const columns = new Map([
      ["failed", [0, 1]],
      ["turns", [4, 2]],
    ]);
    const turns = PLOTS.turns;
    if (turns === undefined) throw new Error("no plot of turns");
    expect(plotData(turns, { times: [10, 20], step: 10, timeZone: "UTC", columns })).toEqual([
      [10, 20],
      [4, 2],
      [0, 1],
    ]);
  });

  it("begins at zero and leaves room at the top, also where there is nothing to show", () => {
    expect(fromZero(null, 3, 10)).toEqual([0, 11]);
    expect(fromZero(null, null, null)).toEqual([0, 1.1]);
    expect(fromZero(null, 0, 0)).toEqual([0, 1.1]);
  });

  it("says what a pointer is on, and what was not measured", () => {
    const wait = PLOTS.queue;
    if (wait === undefined) throw new Error("no plot of the queue");
    expect(legendValue(wait, 0.25, 3)).toBe("250 ms");
    expect(legendValue(wait, null, 3)).toBe("–");
    expect(legendValue(wait, null, null)).toBe("");
  });

  it("tells lines apart by more than colour", () => {
    for (const { bars, lines } of Object.values(PLOTS)) {
      if (!bars) expect(new Set(lines.map(({ dashed }) => dashed === true)).size).toBe(lines.length);
    }
  });
});

describe("words", () => {
  it("of durations", () => {
    expect([0, 0.041, 0.9994, 0.9996, 1.26, 12].map(duration)).toEqual([
      "0 ms",
      "41 ms",
      "999 ms",
      "1 s",
      "1.26 s",
      "12 s",
    ]);
  });

  it("of shares", () => {
    expect([0, 0.5, 0.9876, 1].map(percent)).toEqual(["0%", "50%", "98.8%", "100%"]);
  });

  it("of numbers", () => {
    expect([0, 20, 2.55].map(plain)).toEqual(["0", "20", "2.5"]);
  });

  it("of times, in the server's time zone and not the browser's", () => {
    expect(axisTime(BEGAN, HALF_HOUR, "Asia/Tokyo")).toBe("21:00");
    expect(axisTime(BEGAN, 86_400, "Asia/Tokyo")).toBe("25 Nov");
    expect(fullTime(BEGAN + 12 * 3600, "Asia/Tokyo")).toBe("26 Nov, 09:00");
    expect(fullTime(BEGAN + 12 * 3600, "UTC")).toBe("26 Nov, 00:00");
  });
});
