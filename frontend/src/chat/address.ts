/** The page's address follows what it shows: a reload comes back here, Back and Forward lead through what was open. */
import type { Id } from "./types";

export interface Place {
  conversation: Id | null;
  project: string | null;
  model: string | null;
  /** The models to set beside the first one, of a new conversation. */
  compared: string[];
}

export function placeOf(address: string): Place {
  const query = new URL(address, location.href).searchParams;
  return { conversation: query.get("conversation"), project: query.get("project"), model: query.get("model"), compared: query.getAll("compare").slice(0, 3) };
}

/** Shows a place in the address: as a step that Back undoes, or in place of the one that is there. */
export function show(place: Partial<Place>, isStep: boolean): void {
  const named = Object.entries(place).flatMap(([name, value]) => (value ? [[name, String(value)] as [string, string]] : []));
  const wanted = `/playground?${new URLSearchParams(named)}`;
  if (location.pathname + location.search === wanted) return;
  if (isStep) history.pushState(null, "", wanted);
  else history.replaceState(null, "", wanted);
}
