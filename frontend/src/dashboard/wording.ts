/** Figures and times in words: finer than in the table, since axes have steps of a quarter. */

export function duration(seconds: number): string {
  return seconds >= 0.9995 ? `${trimmed(seconds, 2)} s` : `${trimmed(seconds * 1000, 0)} ms`;
}

export function percent(share: number): string {
  return `${trimmed(share * 100, 1)}%`;
}

export function plain(value: number): string {
  return trimmed(value, 1);
}

/** Where days are told apart, the day; elsewhere the time of day. */
export function axisTime(seconds: number, apart: number, timeZone: string): string {
  return apart < 86_400 ? clock(seconds, timeZone) : day(seconds, timeZone);
}

export function fullTime(seconds: number, timeZone: string): string {
  return `${day(seconds, timeZone)}, ${clock(seconds, timeZone)}`;
}

function clock(seconds: number, timeZone: string): string {
  return format(seconds, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone });
}

function day(seconds: number, timeZone: string): string {
  return format(seconds, { day: "numeric", month: "short", timeZone });
}

function format(seconds: number, options: Intl.DateTimeFormatOptions): string {
  return new Intl.DateTimeFormat("en-GB", options).format(seconds * 1000);
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}
