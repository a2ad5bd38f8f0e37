/** Files that the browser saves, and that a person picks. */

/** What a conversation is exported as. */
export type FileKind = "json" | "markdown";

/** Lets the browser save what is at an address. */
export function saveFrom(address: string): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = "";
  link.click();
}

/** Asks for a file, and tells which one was picked; nothing where none was. */
export function pickFile(accept: string, onpick: (file: File) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = accept;
  input.onchange = () => {
    const file = input.files?.[0];
    if (file) onpick(file);
  };
  input.click();
}
