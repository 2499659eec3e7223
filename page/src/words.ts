// Numbers, times and states in the words of the command line.

import type { Job, TaskCounts } from "./live";

export const plain = (state: string | undefined): string =>
  (state ?? "").replace(/^(TASK|WORKER)_STATE_/, "").toLowerCase() || "unknown";

export function age(seconds: number): string {
  if (seconds < 0 || !isFinite(seconds)) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const clock = (unix: number | undefined): string =>
  unix ? new Date(unix * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC" : "–";

const MOST_NUMBERS = 100_000;

/** The numbers that a text like `1-5,8` has; null: it does not tell all of them, or very many. */
export function numbersOf(text: string): number[] | null {
  const found: number[] = [];
  for (const piece of text.split(",").filter(Boolean)) {
    const [first, last] = piece.split("-").map(Number) as [number, number?];
    if (!Number.isInteger(first) || found.length + (last ?? first) - first >= MOST_NUMBERS) return null;
    for (let number = first; number <= (last ?? first); number++) found.push(number);
  }
  return found;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function size(value: number): string {
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

export const count = (value: number): string => value.toLocaleString("en");

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text of a user as one line: what would act on a screen or turn it round is shown as a mark. */
export const harmless = (text: string): string => text.replace(CONTROL, "\u241b").slice(0, 2000);

/** A name of a file as one part of an address. Bytes that are no UTF-8 stand in it as lone surrogates. */
export const inPath = (name: string): string =>
  [...name].map((each) => (/^[\udc80-\udcff]$/.test(each) ? `%${(each.charCodeAt(0) - 0xdc00).toString(16)}` : encodeURIComponent(each))).join("");

export function command(job: Job): string {
  const spec = job.spec ?? {};
  const argv: string[] = spec.argv ?? spec.commands?.[0]?.argv ?? [];
  const quoted = argv.map((word) => (/^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`));
  return harmless(quoted.join(" ") || (spec.script ? "a script" : spec.function ? "Python" : "–"));
}

export const ended = (counts: TaskCounts | undefined): number =>
  Number(counts?.["succeeded"] ?? 0) + Number(counts?.["failed"] ?? 0) + Number(counts?.["cancelled"] ?? 0);

export const total = (counts: TaskCounts | undefined): number =>
  Object.values(counts ?? {}).reduce((sum, each) => sum + Number(each), 0);
