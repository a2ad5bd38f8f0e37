/** Pictures for a message: made small enough, and kept as data URLs until the message is sent. */

export interface Picture {
  name: string;
  /** A data URL. */
  url: string;
}

export const MAX_PICTURES = 4;
/** What the server takes, in bytes of the picture itself. */
const MAX_BYTES = 600_000;
/** Larger than this on either side no model looks at it. */
const MAX_PIXELS = 2_048;
const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** The pictures among files that were pasted, dropped or chosen. */
export function picturesIn(files: FileList | null | undefined): File[] {
  return [...(files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

/** Reads a picture, drawn smaller where it is too large. Throws where it is none that a browser can read. */
export async function read(file: File): Promise<Picture> {
  if (TYPES.includes(file.type) && file.size <= MAX_BYTES) return { name: file.name, url: await dataUrl(file) };
  const bitmap = await createImageBitmap(file);
  try {
    const largest = Math.max(bitmap.width, bitmap.height);
    for (let pixels = Math.min(largest, MAX_PIXELS); pixels >= 64; pixels /= 2) {
      const drawn = await shrunk(bitmap, pixels / largest);
      if (drawn.size <= MAX_BYTES) return { name: file.name, url: await dataUrl(drawn) };
    }
  } finally {
    bitmap.close();
  }
  throw new Error("This picture cannot be made small enough.");
}

async function shrunk(bitmap: ImageBitmap, share: number): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * share));
  canvas.height = Math.max(1, Math.round(bitmap.height * share));
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser cannot draw pictures.");
  // JPEG knows no transparency: what shows through is paper.
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("This picture cannot be drawn."))), "image/jpeg", 0.85);
  });
}

function dataUrl(blob: Blob): Promise<string> {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result as string);
    reader.onerror = () => fail(reader.error ?? new Error("This file cannot be read."));
    reader.readAsDataURL(blob);
  });
}
