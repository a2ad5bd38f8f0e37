// The openai package for Node, and Vercel's AI SDK with its defaults: over responses, chats and messages.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const { PARLEY_URL: url, PARLEY_KEY: key, POOR_KEY: poorKey, PARLEY_MODEL: model } = process.env;
const ASK_WEATHER = "What does get_weather say?";
const LONG = "word ".repeat(12_000);
const TURNS = 30;

async function caught(call) {
  try {
    await call();
    return {};
  } catch (error) {
    return { status: error.status ?? error.statusCode, code: error.code ?? error.data?.error?.code, name: error.name };
  }
}

const client = new OpenAI({ baseURL: url, apiKey: key });
const poor = new OpenAI({ baseURL: url, apiKey: poorKey });
const user = [{ role: "user", content: "hello" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
async function node() {
  const chat = await client.chat.completions.create({ model, messages: user });
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ model, messages: user, stream: true }))
    streamed += chunk.choices[0]?.delta.content ?? "";
  const ran = client.chat.completions.runTools({
    model,
    messages: [{ role: "user", content: ASK_WEATHER }],
    tools: [{ ...weather, function: { ...weather.function, function: () => "rain", parse: JSON.parse } }],
  });
  const stream = client.responses.stream({ model, input: "hello" });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  return {
    chat: chat.choices[0].message.content,
    streamed,
    ran: await ran.finalContent(),
    response: (await client.responses.create({ model, input: "hello" })).output_text,
    responseStreamed: (await stream.finalResponse()).output_text,
    last: kinds.at(-1),
    overflow: await caught(() => client.chat.completions.create({ model, messages: [{ role: "user", content: LONG }] })),
    quota: await caught(() => poor.chat.completions.create({ model, messages: user })),
  };
}

const getWeather = tool({
  description: "The weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});

async function aiSdk(chosen, { schema = true } = {}) {
  const messages = [];
  const said = [];
  for (let turn = 0; turn < TURNS; turn++) {
    messages.push({ role: "user", content: ASK_WEATHER });
    const ended = await generateText({
      model: chosen,
      messages,
      tools: { get_weather: getWeather },
      stopWhen: stepCountIs(5),
      maxRetries: 0,
    });
    messages.push(...ended.response.messages);
    said.push(ended.text);
  }
  const streaming = streamText({ model: chosen, prompt: "hello", maxRetries: 0 });
  let streamed = "";
  for await (const piece of streaming.textStream) streamed += piece;
  const object = schema
    ? (await generateObject({ model: chosen, schema: z.object({ name: z.string(), age: z.number().int() }), prompt: "hello" }))
        .object
    : null;
  return {
    said: [...new Set(said)],
    turns: said.length,
    streamed,
    usage: (await streaming.usage).inputTokens > 0,
    reason: await streaming.finishReason,
    object,
    overflow: await caught(() => generateText({ model: chosen, prompt: LONG, maxRetries: 0 })),
  };
}

const openai = createOpenAI({ baseURL: url, apiKey: key });
// By default it neither asks for usage nor sends schemas.
const abilities = { includeUsage: true, supportsStructuredOutputs: true };
const compatible = createOpenAICompatible({ name: "parley", baseURL: url, apiKey: key, ...abilities });
const anthropic = createAnthropic({ baseURL: url, apiKey: key });
const found = {
  node: await node(),
  responses: await aiSdk(openai(model)),
  chats: await aiSdk(openai.chat(model)),
  compatible: await aiSdk(compatible(model)),
  messages: await aiSdk(anthropic(model)),
};
console.log("REPORT " + JSON.stringify(found));
