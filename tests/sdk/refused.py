"""Meets every refusal with the vendors' own SDKs, with the retries that they come with, and prints what a user would read.

One line of JSON for each call: {"client": …, "case": …, "error": …}. Driven by tests/it/clients.rs.
"""

import json
import os

import anthropic
import openai

URL = os.environ["GATEWAY_URL"]


def messages(key, prompt):
    client = anthropic.Anthropic(base_url=URL, api_key=key)
    client.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=[{"role": "user", "content": prompt}])


def chat(key, prompt):
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=key)
    client.chat.completions.create(model="gpt-5.5", max_tokens=50, messages=[{"role": "user", "content": prompt}])


def responses(key, prompt):
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=key)
    client.responses.create(model="gpt-5.5", max_output_tokens=50, input=prompt)


for client, call in [
    (f"anthropic {anthropic.__version__} (Python)", messages),
    (f"openai {openai.__version__} (Python), chat", chat),
    (f"openai {openai.__version__} (Python), responses", responses),
]:
    for case in json.loads(os.environ["CASES"]):
        try:
            call(case["key"], case["prompt"])
            error = ""
        except (anthropic.APIError, openai.APIError) as caught:
            error = str(caught)
        print(json.dumps({"client": client, "case": case["name"], "error": error}), flush=True)
