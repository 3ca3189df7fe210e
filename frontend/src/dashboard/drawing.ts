/** Draws a plot with uPlot, in the colours of the style sheet. */
import uPlot from "uplot";

import type { Measured } from "./measured";
import { fromZero, legendValue, plotData, type Line, type Plot } from "./plots";
import { axisTime, fullTime } from "./wording";

const HEIGHT = 220;
const X_AXIS_HEIGHT = 30;
const Y_AXIS_WIDTH = 60;
const DASH = [6, 4];
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
/** Bars fill this share of their interval, and are never wider than this many pixels. */
const BAR_SIZE: [number, number] = [0.7, 32];

/** Draws the plot into its place, in the colours that the style sheet has there now. */
export function draw(plot: Plot, measured: Measured, place: HTMLElement): uPlot {
  const styles = getComputedStyle(place);
  const colour = (name: string): string => styles.getPropertyValue(name).trim();
  const axis = axisStyle(styles);
  const { step, times, timeZone } = measured;
  const options: uPlot.Options = {
    width: place.clientWidth,
    height: HEIGHT,
    padding: [8, 12, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timeZone),
    cursor: { drag: { x: false, y: false }, sync: { key: "performance" }, y: false },
    scales: {
      // Half an interval on either side, for the bars.
      x: { range: () => [(times[0] ?? 0) - step / 2, (times.at(-1) ?? 0) + step / 2] },
      y: { range: fromZero },
    },
    axes: [
      {
        ...axis,
        size: X_AXIS_HEIGHT,
        values: (_plot, splits, _axis, _space, apart) => splits.map((at) => axisTime(at, apart, timeZone)),
      },
      {
        ...axis,
        size: Y_AXIS_WIDTH,
        values: (_plot, splits) => splits.map(plot.unit),
        ...(plot.bars ? { incrs: WHOLE_STEPS } : {}),
      },
    ],
    series: [
      { label: "From", value: (_plot, at: number | null) => (at === null ? "" : fullTime(at, timeZone)) },
      ...plot.lines.map((line) => series(plot, line, colour)),
    ],
  };
  return new uPlot(options, plotData(plot, measured), place);
}

/** An axis in the colours and letters of the style sheet. */
export function axisStyle(styles: CSSStyleDeclaration): uPlot.Axis {
  const line = { stroke: styles.getPropertyValue("--line").trim(), width: 1 };
  return {
    stroke: styles.getPropertyValue("--text-soft").trim(),
    font: `12px ${styles.fontFamily}`,
    grid: line,
    ticks: line,
  };
}

function series(plot: Plot, line: Line, colour: (name: string) => string): uPlot.Series {
  const drawn: uPlot.Series = {
    label: line.label,
    stroke: colour(line.colour),
    value: (_plot, value: number | null, _line, index) => legendValue(plot, value, index),
  };
  const bars = plot.bars ? uPlot.paths.bars?.({ size: BAR_SIZE }) : undefined;
  if (bars) return { ...drawn, fill: colour(line.colour), width: 0, paths: bars, points: { show: false } };
  // Points, since a value between two gaps has no line.
  return { ...drawn, width: 2, points: { show: true, size: 5 }, ...(line.dashed ? { dash: DASH } : {}) };
}
