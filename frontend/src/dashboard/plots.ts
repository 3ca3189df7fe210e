/** The plots of figures over time, on Performance and the Overview: which figures stand in which, and what they say. */
import type { Column, Measured } from "./measured";
import { duration, percent, plain } from "./wording";

export interface Line {
  figure: string;
  label: string;
  /** The style sheet's variable that holds its colour. */
  colour: string;
  /** Told apart by more than colour. */
  dashed?: boolean;
}

export interface Plot {
  unit: (value: number) => string;
  bars?: boolean;
  lines: Line[];
}

export const PLOTS: Record<string, Plot> = {
  first_token: {
    unit: duration,
    lines: [
      { figure: "first_token_p50", label: "Median", colour: "--plot-1" },
      { figure: "first_token_p95", label: "95%", colour: "--plot-2", dashed: true },
    ],
  },
  queue: {
    unit: duration,
    lines: [
      { figure: "queue_p50", label: "Median", colour: "--plot-1" },
      { figure: "queue_p95", label: "95%", colour: "--plot-2", dashed: true },
    ],
  },
  speed: {
    unit: plain,
    lines: [{ figure: "tokens_per_second", label: "Median", colour: "--plot-1" }],
  },
  conversations: {
    unit: plain,
    bars: true,
    lines: [
      { figure: "conversations", label: "Begun", colour: "--plot-1" },
      { figure: "handed_over", label: "Of these handed over", colour: "--plot-2" },
    ],
  },
  shares: {
    unit: percent,
    lines: [
      { figure: "containment", label: "Containment", colour: "--plot-1" },
      { figure: "fallback", label: "Fallback", colour: "--plot-2", dashed: true },
    ],
  },
  ratings: {
    unit: plain,
    lines: [
      { figure: "up", label: "Thumbs up", colour: "--plot-1" },
      { figure: "down", label: "Thumbs down", colour: "--bad", dashed: true },
    ],
  },
  turns: {
    unit: plain,
    bars: true,
    lines: [
      { figure: "turns", label: "Ended", colour: "--plot-1" },
      { figure: "failed", label: "Of these failed", colour: "--bad" },
    ],
  },
};

/** The columns in the order of the plot's lines, under their times. */
export function plotData(plot: Plot, measured: Measured): [number[], ...Column[]] {
  return [measured.times, ...plot.lines.map(({ figure }) => measured.columns.get(figure) ?? [])];
}

/** From zero, so that no difference looks larger than it is, with a little room at the top. */
export function fromZero(_plot: unknown, _lowest: number | null, highest: number | null): [number, number] {
  return [0, (highest || 1) * 1.1];
}

/** Nothing while no pointer is on the plot, a dash where nothing was measured. */
export function legendValue(plot: Plot, value: number | null, index: number | null): string {
  if (index === null) return "";
  return value === null ? "–" : plot.unit(value);
}
