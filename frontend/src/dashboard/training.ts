/** Follows a training run while it is open, and draws its curves. The page can be read without it. */
import "uplot/dist/uPlot.min.css";
import "./plots.css";

import ReconnectingWebSocket from "partysocket/ws";
import uPlot from "uplot";

import { socketAddress } from "../shared/browser";
import { Curve, readPoints, type Figure, type Point } from "./curves";
import { axisStyle } from "./drawing";
import { fromZero } from "./plots";

/** What the socket says whenever the run has changed. */
interface Seen {
  is_open: boolean;
  message: string;
  share: number | null;
  note: string;
  stages: Stage[];
  attempt: number;
  log: string[];
  points: Point[];
}

interface Stage {
  name: string;
  state: "done" | "current" | "waiting";
}

interface Line {
  figure: Figure;
  label: string;
  colour: string;
}

const PLOTS: Record<string, Line[]> = {
  loss: [
    { figure: "loss", label: "Training", colour: "--plot-1" },
    { figure: "held_out_loss", label: "Held-out rows", colour: "--plot-2" },
  ],
  learning_rate: [{ figure: "learning_rate", label: "Learning rate", colour: "--plot-1" }],
};
const HEIGHT = 220;
const STEPS_APART = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000];
/** Every message aloud would drown out whatever else a screen reader says. */
const SPOKEN_STEPS = 4;

const curve = new Curve();
const drawn = new Map<HTMLElement, uPlot>();
const places = [...document.querySelectorAll<HTMLElement>("[data-plot]")];
curve.add(readPoints(document.querySelector<HTMLTableElement>("#curve")));
show();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of drawn.values()) plot.destroy();
  drawn.clear();
  show();
});
const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    drawn.get(target as HTMLElement)?.setSize({ width: contentRect.width, height: HEIGHT });
  }
});
for (const place of places) resized.observe(place);

const section = document.querySelector<HTMLElement>("#run");
if (section?.dataset.socket !== undefined) follow(section, section.dataset.socket);

function follow(section: HTMLElement, socket: string): void {
  const bar = element<HTMLProgressElement>(section, "progress");
  const message = element(section, "#progress-message");
  const note = element(section, "#progress-note");
  const spoken = element(section, "#progress-spoken");
  const log = element(document, "#log");
  const stages = element(section, "#stages");
  let attempt = 0;
  let step = 0;
  const connection = new ReconnectingWebSocket(socketAddress(socket));
  connection.addEventListener("message", ({ data }: MessageEvent<string>) => {
    const seen = JSON.parse(data) as Seen;
    if (!seen.is_open) {
      connection.close();
      location.reload();
      return;
    }
    message.textContent = seen.message;
    note.textContent = seen.note;
    if (seen.share === null) bar.removeAttribute("value");
    else bar.value = seen.share;
    writeStages(stages, seen.stages);
    const reached = Math.floor((seen.share ?? 0) * SPOKEN_STEPS);
    if (reached > step)
      spoken.textContent = `${Math.round((seen.share ?? 0) * 100)} percent done. ${seen.note}`;
    step = reached;
    writeLog(log, seen.log.join("\n"));
    if (attempt !== 0 && attempt !== seen.attempt) curve.clear();
    attempt = seen.attempt;
    curve.add(seen.points);
    if (seen.points.length > 0) show();
  });
  connection.addEventListener("close", ({ code }: { code: number }) => {
    // Signed out, or no longer allowed: the page itself says so.
    if (code === 4403) {
      connection.close();
      location.reload();
    } else if (connection.readyState !== WebSocket.OPEN) {
      note.textContent = "The server does not answer at the moment. The training goes on without it.";
    }
  });
}

function writeStages(list: HTMLElement, stages: Stage[]): void {
  list.hidden = stages.length === 0;
  list.replaceChildren(
    ...stages.map(({ name, state }) => {
      const item = document.createElement("li");
      item.textContent = name;
      item.className = state;
      if (state === "current") item.setAttribute("aria-current", "step");
      return item;
    }),
  );
}

/** Stays at the end unless somebody has scrolled up to read. */
function writeLog(log: HTMLElement, text: string): void {
  if (log.textContent === text) return;
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.textContent = text;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function show(): void {
  if (curve.isEmpty) return;
  const plots = document.querySelector<HTMLElement>("#plots");
  if (plots !== null) plots.hidden = false;
  for (const place of places) {
    const lines = PLOTS[place.dataset.plot ?? ""]?.filter(({ figure }) => curve.has(figure));
    if (lines === undefined) throw new Error(`There is no plot ${place.dataset.plot}.`);
    const data = curve.columns(lines.map(({ figure }) => figure));
    const plot = drawn.get(place);
    if (plot?.series.length === data.length) plot.setData(data);
    else {
      plot?.destroy();
      drawn.set(place, draw(place, lines, data));
    }
  }
}

function draw(place: HTMLElement, lines: Line[], data: uPlot.AlignedData): uPlot {
  const styles = getComputedStyle(place);
  const axis = axisStyle(styles);
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: false, y: false }, sync: { key: "training" }, y: false },
      scales: { x: { time: false }, y: { range: fromZero } },
      axes: [
        { ...axis, size: 30, incrs: STEPS_APART },
        { ...axis, size: 60, values: (_plot, splits) => splits.map(brief) },
      ],
      series: [
        { label: "", value: (_plot, step: number | null) => (step === null ? "" : `Step ${step}`) },
        ...lines.map(({ label, colour }, index) => ({
          label,
          stroke: styles.getPropertyValue(colour).trim(),
          width: 2,
          // Told apart by more than colour, and what is measured now and then is joined.
          spanGaps: true,
          points: { show: index > 0, size: 6 },
          value: (_plot: uPlot, value: number | null) => (value === null ? "–" : brief(value)),
        })),
      ],
    },
    data,
    place,
  );
}

function brief(value: number): string {
  return value !== 0 && Math.abs(value) < 0.01
    ? value.toExponential(1)
    : String(Number(value.toPrecision(3)));
}

function element<Kind extends HTMLElement = HTMLElement>(within: ParentNode, selector: string): Kind {
  const found = within.querySelector<Kind>(selector);
  if (found === null) throw new Error(`The page has no ${selector}.`);
  return found;
}
