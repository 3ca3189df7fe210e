/** Draws a page's table of figures over time, in the places that name a plot. The page is whole without it. */
import "uplot/dist/uPlot.min.css";
import "./plots.css";

import type uPlot from "uplot";

import { draw } from "./drawing";
import { readMeasured } from "./measured";
import { PLOTS } from "./plots";

const table = document.querySelector<HTMLTableElement>("#measured");
const section = document.querySelector<HTMLElement>("#plots");
if (table === null || section === null) throw new Error("The page has no #measured or no #plots.");

const measured = readMeasured(table);
const drawn = new Map<HTMLElement, uPlot>();

function drawAll(places: Iterable<HTMLElement>): void {
  for (const place of places) {
    const plot = PLOTS[place.dataset.plot ?? ""];
    if (plot === undefined) throw new Error(`There is no plot ${place.dataset.plot}.`);
    drawn.get(place)?.destroy();
    drawn.set(place, draw(plot, measured, place));
  }
}

section.hidden = false;
const places = [...section.querySelectorAll<HTMLElement>("[data-plot]")];
drawAll(places);

// Colours are painted, so the page's own change of scheme does not reach them.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(places));

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const plot = drawn.get(target as HTMLElement);
    if (plot !== undefined && plot.width !== contentRect.width) {
      plot.setSize({ width: contentRect.width, height: plot.height });
    }
  }
});
for (const place of places) resized.observe(place);
