/** Numbers and moments as people read them. Money arrives as integers in strings: nano-credits, 10^9 to a dollar. */
import { language } from "./i18n";

const NANO = 1_000_000_000n;
const CENT = NANO / 100n;
const plain = new Intl.NumberFormat(language);

/** Nano-credits as dollars, rounded down: whole cents with two digits, all else with six, as small as one answer's cost. */
export function dollars(nano: string): string {
  const amount = BigInt(nano);
  const size = amount < 0n ? -amount : amount;
  const digits = size % CENT === 0n ? 2 : 6;
  const fraction = (size % NANO).toString().padStart(9, "0").slice(0, digits);
  return `${amount < 0n ? "−" : ""}$${plain.format(size / NANO)}.${fraction}`;
}

/** A small amount of dollars as one estimates it: $0.0003, $0.012, $1.25. */
export function aboutDollars(amount: number): string {
  const digits = amount > 0 ? Math.min(Math.max(2, 1 - Math.floor(Math.log10(amount))), 9) : 2;
  return `$${amount.toFixed(digits).replace(/(\.\d\d+?)0+$/, "$1")}`;
}

/** A count of tokens as one reads it at a glance: 940, 9.1k, 200k, 1M. */
export function shortCount(count: number): string {
  if (count < 1_000) return String(count);
  const [size, unit] = count < 999_500 ? [1_000, "k"] : [1_000_000, "M"];
  const scaled = count / size;
  return `${scaled < 10 ? Number(scaled.toFixed(1)) : Math.round(scaled)}${unit}`;
}

/** A context length as people say it: 131072 is 128K, 200000 is 200K, 1048576 is 1M. */
export function tokenCount(tokens: number): string {
  for (const [size, unit] of [[1_048_576, "M"], [1_000_000, "M"], [1_024, "K"], [1_000, "K"]] as const) {
    if (tokens >= size && tokens % size === 0) return `${tokens / size}${unit}`;
  }
  return tokens < 10_000 ? plain.format(tokens) : `${Math.round(tokens / 1000)}K`;
}

/** A moment as "August 1, 2026 at 00:00 UTC": budgets live in UTC, wherever their reader does. */
export function moment(iso: string): string {
  return `${new Date(iso).toLocaleString(language, { dateStyle: "long", timeStyle: "short", timeZone: "UTC", hourCycle: "h23" })} UTC`;
}

export function whole(count: number): string {
  return plain.format(count);
}

/** Milliseconds as "310 ms" or "2.4 s". */
export function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

export type Age = "today" | "yesterday" | "thisWeek" | "older";

/** In which part of the history a conversation belongs. */
export function ageOf(moment: string, now = new Date()): Age {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const days = (midnight - new Date(moment).setHours(0, 0, 0, 0)) / 86_400_000;
  if (days < 1) return "today";
  if (days < 2) return "yesterday";
  return days < 7 ? "thisWeek" : "older";
}
