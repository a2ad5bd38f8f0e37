import type { Parameters } from "./types";

type NumberName = "temperature" | "top_p" | "max_tokens" | "frequency_penalty" | "presence_penalty";

export interface NumberParameter {
  name: NumberName;
  least: number;
  most: number;
  step: number;
  /** The slider's steps multiply instead of adding: 100 tokens more matter little at 100,000. */
  isGeometric?: boolean;
}

/** The parameters that have a control of their own; all others are written as JSON. */
export const NAMED = new Set([
  "temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed", "stop", "response_format",
  "tools", "tool_choice", "logprobs", "top_logprobs",
]);

export const EXAMPLE_SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, population: { type: "integer" } },
  required: ["city", "population"],
  additionalProperties: false,
};

export const EXAMPLE_TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Returns the weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

/** The parameters that have a slider; the bounds are those of inference.chat. */
export function numberParameters(contextTokens: number): NumberParameter[] {
  return [
    { name: "temperature", least: 0, most: 2, step: 0.05 },
    { name: "top_p", least: 0, most: 1, step: 0.01 },
    { name: "max_tokens", least: 1, most: contextTokens, step: 1, isGeometric: true },
    { name: "frequency_penalty", least: -2, most: 2, step: 0.1 },
    { name: "presence_penalty", least: -2, most: 2, step: 0.1 },
  ];
}

/** The parameters with one of them set, or left to its default where the value is undefined or the default itself. */
export function withParameter<Name extends keyof Parameters>(
  parameters: Parameters,
  defaults: Parameters,
  name: Name,
  value: Parameters[Name] | undefined,
): Parameters {
  const { [name]: _, ...others } = parameters;
  return value === undefined || value === defaults[name] ? (others as Parameters) : { ...others, [name]: value };
}

/** What another tab has set, with what this side changed since it last knew: nobody's change is lost. */
export function merged(theirs: Parameters, known: Parameters, mine: Parameters): Parameters {
  const result = { ...theirs } as Record<string, unknown>;
  for (const name of new Set([...Object.keys(known), ...Object.keys(mine)]) as Set<keyof Parameters>) {
    if (JSON.stringify(known[name]) === JSON.stringify(mine[name])) continue;
    if (mine[name] === undefined) delete result[name];
    else result[name] = mine[name];
  }
  return result as Parameters;
}

/** A typed number brought into bounds; undefined for an empty or senseless field. */
export function bounded(text: string, { least, most, step }: NumberParameter): number | undefined {
  const value = Number(text);
  if (!text.trim() || !Number.isFinite(value)) return undefined;
  const near = Math.min(Math.max(value, least), most);
  return Number.isInteger(step) ? Math.round(near) : near;
}

/** Where a value stands on the slider, from 0 to 1. */
export function shareOf(value: number, { least, most, isGeometric }: NumberParameter): number {
  const share = isGeometric ? Math.log(value / least) / Math.log(most / least) : (value - least) / (most - least);
  return Math.min(Math.max(share, 0), 1);
}

/** The value at a place of the slider, on the parameter's own steps. */
export function valueAt(share: number, { least, most, step, isGeometric }: NumberParameter): number {
  if (isGeometric) return Math.round(least * (most / least) ** share);
  const value = least + Math.round((share * (most - least)) / step) * step;
  // 0.1 + 0.2 must not show as 0.30000000000000004.
  return Number(Math.min(value, most).toFixed(4));
}
