/**
 * Whether a key belongs to an input method: while a Korean, Japanese or Chinese word is composed, Enter, Escape, Tab and
 * the arrows choose among its suggestions. Safari tells so by the old key code alone. Every handler of keys asks here.
 */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}

/** Which key was pressed; none while an input method takes it. */
export function keyOf(event: KeyboardEvent): string {
  return isComposing(event) ? "" : event.key;
}

/** Whether Enter means "send". */
export function isSendKey(event: KeyboardEvent): boolean {
  return keyOf(event) === "Enter" && !event.shiftKey;
}
