/** JSON as every server reads it: half of a character pair, such as an emoji cut in two, becomes a replacement mark. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "string" ? inner.toWellFormed() : inner));
}

/** An id that nobody else has; `crypto.randomUUID` is missing on plain http. */
export function newId(): string {
  const digits = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  return digits.join("");
}
