/** The words on the screen, in the language of <html lang>. `t` is a live binding: read it when you need it. */
import { en, type Strings } from "./en";

export const language = document.documentElement.lang || "en";
export let t: Strings = en;

/** English is always there; another language is fetched only by those who read it. */
export async function loadStrings(): Promise<void> {
  if (language.startsWith("ko")) t = (await import("./ko")).ko;
}
