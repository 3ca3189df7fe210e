/** What a table of figures over time says, as columns over time. The table is the one source of the plots. */

/** One value an interval; null where nothing was measured. */
export type Column = (number | null)[];

export interface Measured {
  /** When each interval begins, in seconds since 1970. */
  times: number[];
  /** Seconds that an interval lasts. */
  step: number;
  timeZone: string;
  columns: Map<string, Column>;
}

/** Figures of which there are none, and not unknown ones, where nothing happened. */
const COUNTS = new Set(["turns", "failed", "conversations", "handed_over", "up", "down"]);

/** Reads the table. Intervals that it leaves out, because nothing happened in them, have their place again. */
export function readMeasured(table: HTMLTableElement): Measured {
  const began = seconds(table.dataset.began);
  const step = Number(table.dataset.step);
  const times = Array.from({ length: Number(table.dataset.steps) }, (_, index) => began + index * step);
  const columns = new Map<string, Column>();
  for (const header of table.querySelectorAll<HTMLTableCellElement>("th[data-figure]")) {
    const figure = header.dataset.figure ?? "";
    const column: Column = times.map(() => (COUNTS.has(figure) ? 0 : null));
    for (const row of table.tBodies[0]?.rows ?? []) {
      const index = Math.round((seconds(row.querySelector("time")?.dateTime) - began) / step);
      const value = row.cells[header.cellIndex]?.querySelector("data")?.value;
      if (index in column) column[index] = value === undefined ? null : Number(value);
    }
    columns.set(figure, column);
  }
  return { times, step, timeZone: table.dataset.timeZone ?? "UTC", columns };
}

function seconds(moment: string | undefined): number {
  return Date.parse(moment ?? "") / 1000;
}
