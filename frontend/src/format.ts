/** Numbers and moments as people read them. Money arrives as integers in strings: nano-credits, 10^9 to a dollar. */
import { language } from "./i18n";

const NANO = 1_000_000_000n;
const CENT = NANO / 100n;
/** So many digits of an amount below a dollar are read at a glance. */
const SHORT_DIGITS = 3;
const plain = new Intl.NumberFormat(language);

/** Nano-credits as dollars, as one reads them in passing: to the cent, or below a dollar to three digits; never more than there is. */
export function dollars(nano: string): string {
  const amount = BigInt(nano);
  const size = amount < 0n ? -amount : amount;
  const unit = size >= NANO ? CENT : 10n ** BigInt(Math.max(size.toString().length - SHORT_DIGITS, 0));
  return exactDollars(((amount / unit) * unit).toString());
}

/** Nano-credits as dollars, exact, with at least two decimals. */
export function exactDollars(nano: string): string {
  const amount = BigInt(nano);
  const size = amount < 0n ? -amount : amount;
  const fraction = (size % NANO).toString().padStart(9, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${amount < 0n ? "−" : ""}$${plain.format(size / NANO)}.${fraction}`;
}

/** Plain decimal dollars, such as a run's cost, as nano-credits. */
export function nanoOf(plainDollars: string): string {
  const [whole = "0", fraction = ""] = plainDollars.split(".");
  return BigInt(whole + fraction.padEnd(9, "0").slice(0, 9)).toString();
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
