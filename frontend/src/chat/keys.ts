/**
 * Whether Enter means "send". While a Korean or Japanese syllable is composed it only ends the composition; Safari tells
 * so by the old key code alone.
 */
export function isSendKey(event: KeyboardEvent): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}
