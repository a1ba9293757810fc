// Meets every refusal with the vendors' own JavaScript SDKs, with the retries that they come with, and prints what a user
// would read.
//
// One line of JSON for each call: {"client": …, "case": …, "error": …}. Driven by tests/it/clients.rs.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const home = process.env.SDK_HOME;
const load = createRequire(`${home}/package.json`);
const Anthropic = load("@anthropic-ai/sdk").default;
const OpenAI = load("openai").default;
const version = (name) => JSON.parse(readFileSync(`${home}/node_modules/${name}/package.json`)).version;

const url = process.env.GATEWAY_URL;
const compatible = (apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey });

const messages = (apiKey, content) =>
  new Anthropic({ baseURL: url, apiKey }).messages.create({
    model: "claude-haiku-4-5",
    max_tokens: 50,
    messages: [{ role: "user", content }],
  });
const chat = (apiKey, content) =>
  compatible(apiKey).chat.completions.create({ model: "gpt-5.5", max_tokens: 50, messages: [{ role: "user", content }] });
const responses = (apiKey, input) =>
  compatible(apiKey).responses.create({ model: "gpt-5.5", max_output_tokens: 50, input });

for (const [client, call] of [
  [`@anthropic-ai/sdk ${version("@anthropic-ai/sdk")}`, messages],
  [`openai ${version("openai")} (JavaScript), chat`, chat],
  [`openai ${version("openai")} (JavaScript), responses`, responses],
]) {
  for (const { name, key, prompt } of JSON.parse(process.env.CASES)) {
    const error = await call(key, prompt).then(() => "", (caught) => String(caught.message));
    console.log(JSON.stringify({ client, case: name, error }));
  }
}
