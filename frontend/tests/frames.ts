/** The golden frames that pytest reads as well. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FRAMES = join(import.meta.dirname, "../../tests/frames");

/** File name without extension → file text. */
export function goldenFrames(side: "client" | "server" | "desk/client" | "desk/server"): [string, string][] {
  const folder = join(FRAMES, side);
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => [name.replace(/\.json$/, ""), readFileSync(join(folder, name), "utf8")]);
}
