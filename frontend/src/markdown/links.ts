/** What an address in model output may do. Anything but http, https and mailto stays plain text. */
const LINK_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
const IMAGE_PROTOCOLS = new Set(["http:", "https:"]);

export function safeLink(address: string): string | null {
  return absolute(address, LINK_PROTOCOLS);
}

export function safeImage(address: string): string | null {
  return absolute(address, IMAGE_PROTOCOLS);
}

/** Relative addresses are refused too: a model must not name pages of this site, such as one that signs out. */
function absolute(address: string, protocols: Set<string>): string | null {
  try {
    const url = new URL(address);
    return protocols.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
