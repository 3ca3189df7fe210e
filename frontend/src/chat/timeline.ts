/** The rows of the message list: date separators, grouping, and what each message may offer. */
import type { Message, Source } from "../shared/protocol";
import { active } from "./languages/active.svelte";

export type Row =
  | { readonly kind: "date"; readonly key: string; readonly date: Date }
  | {
      readonly kind: "message";
      readonly key: string;
      readonly message: Message;
      /** The first of several from the same side within a few minutes: it carries name and picture. */
      readonly first: boolean;
      readonly last: boolean;
    };

/** Sources of one article, each with its own passage and place. */
export interface Article {
  readonly title: string;
  readonly passages: readonly Source[];
}

/** Puts passages of the same article together, in the order of the first of each. */
export function articles(sources: readonly Source[]): Article[] {
  const titles = [...new Set(sources.map(({ title }) => title))];
  return titles.map((title) => ({ title, passages: sources.filter((source) => source.title === title) }));
}

/** Messages of one side closer together than this share a name and a time. */
const GROUP_WITHIN = 5 * 60_000;

export function rows(messages: readonly Message[]): Row[] {
  const result: Row[] = [];
  for (const [index, message] of messages.entries()) {
    const before = messages[index - 1];
    const date = new Date(message.created_at);
    if (before === undefined || !sameDay(new Date(before.created_at), date)) {
      result.push({ kind: "date", key: `date ${message.id}`, date });
    }
    result.push({
      kind: "message",
      key: message.id,
      message,
      first: before === undefined || !together(before, message),
      last: !together(message, messages[index + 1]),
    });
  }
  return result;
}

function together(a: Message, b: Message | undefined): boolean {
  if (b === undefined || a.role !== b.role || a.role === "system") return false;
  // Two answers in a row answer the same question: the second was asked for again.
  if (a.role === "bot" && a.turn?.id !== b.turn?.id) return false;
  const [from, to] = [new Date(a.created_at), new Date(b.created_at)];
  return sameDay(from, to) && to.getTime() - from.getTime() < GROUP_WITHIN;
}

export function sameDay(a: Date, b: Date): boolean {
  return a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();
}

/** "Today", "Yesterday" or the date, as the visitor's language writes it. */
export function dayName(date: Date, now: Date, words: { today: string; yesterday: string }): string {
  if (sameDay(date, now)) return words.today;
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (sameDay(date, yesterday)) return words.yesterday;
  const year = date.getFullYear() === now.getFullYear() ? undefined : ("numeric" as const);
  return date.toLocaleDateString(active.locale, { weekday: "long", day: "numeric", month: "long", year });
}

export function clock(date: Date): string {
  return date.toLocaleTimeString(active.locale, { hour: "numeric", minute: "2-digit" });
}

/** The time for something of today, else a short date. */
export function shortTime(date: Date, now: Date): string {
  if (sameDay(date, now)) return clock(date);
  const year = date.getFullYear() === now.getFullYear() ? undefined : ("numeric" as const);
  return date.toLocaleDateString(active.locale, { day: "numeric", month: "short", year });
}
