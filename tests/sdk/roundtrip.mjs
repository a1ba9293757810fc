// Sends a file through the gateway with the vendors' own JavaScript SDKs, as an agent would, and prints what came back.
//
// One line of JSON for each call: {"call": …, "text": …, "arguments": …}. Driven by tests/it/sdk.rs.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

// The SDKs are installed beside the build, not beside this file.
const load = createRequire(`${process.env.SDK_HOME}/package.json`);
const Anthropic = load("@anthropic-ai/sdk").default;
const OpenAI = load("openai").default;

const { GATEWAY_URL: url, GATEWAY_KEY: apiKey, FILE_CONTENT: file } = process.env;
const ask = `Here is the file .env:\n${file}\nSay it and write it again.`;

const tell = (call, text, args) => console.log(JSON.stringify({ call, text, arguments: args }));

async function messages(client) {
  const body = {
    model: "claude-haiku-4-5",
    max_tokens: 100,
    messages: [{ role: "user", content: ask }],
    tools: [{ name: "Write", input_schema: { type: "object" } }],
  };
  const parts = (message) => [
    message.content.filter((block) => block.type === "text").map((block) => block.text).join(""),
    message.content.find((block) => block.type === "tool_use").input,
  ];
  tell("messages", ...parts(await client.messages.create(body)));
  let heard = "";
  const stream = client.messages.stream(body).on("text", (text) => (heard += text));
  const [text, args] = parts(await stream.finalMessage());
  assert.equal(heard, text);
  tell("messages stream", text, args);
}

async function chat(client) {
  const body = { model: "gpt-5.5", max_tokens: 100, messages: [{ role: "user", content: ask }] };
  const { message } = (await client.chat.completions.create(body)).choices[0];
  tell("chat", message.content, JSON.parse(message.tool_calls[0].function.arguments));
  let text = "";
  const calls = {};
  for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
    for (const { delta } of chunk.choices) {
      text += delta.content ?? "";
      for (const call of delta.tool_calls ?? []) {
        calls[call.index] = (calls[call.index] ?? "") + (call.function.arguments ?? "");
      }
    }
  }
  tell("chat stream", text, JSON.parse(calls[0]));
}

async function responses(client) {
  const body = { model: "gpt-5.5", max_output_tokens: 100, input: ask };
  const parts = (response) => [
    response.output_text,
    JSON.parse(response.output.find((item) => item.type === "function_call").arguments),
  ];
  tell("responses", ...parts(await client.responses.create(body)));
  let [text, args, final] = ["", "", null];
  for await (const event of await client.responses.create({ ...body, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (event.type === "response.function_call_arguments.delta") args += event.delta;
    if (event.type === "response.completed") final = event.response;
  }
  const said = final.output.find((item) => item.type === "message").content[0].text;
  assert.deepEqual([said, parts(final)[1]], [text, JSON.parse(args)]);
  tell("responses stream", text, JSON.parse(args));
}

await messages(new Anthropic({ baseURL: url, apiKey, maxRetries: 0 }));
const compatible = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
await chat(compatible);
await responses(compatible);
