"""Sends a file through the gateway with the vendors' own SDKs, as an agent would, and prints what came back.

One line of JSON for each call: {"call": …, "text": …, "arguments": …}. Driven by tests/it/sdk.rs.
"""

import json
import os

import anthropic
import openai

URL = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]
FILE = os.environ["FILE_CONTENT"]
ASK = f"Here is the file .env:\n{FILE}\nSay it and write it again."


def tell(call, text, arguments):
    print(json.dumps({"call": call, "text": text, "arguments": arguments}), flush=True)


def messages(client):
    ask = dict(
        model="claude-haiku-4-5",
        max_tokens=100,
        messages=[{"role": "user", "content": ASK}],
        tools=[{"name": "Write", "input_schema": {"type": "object"}}],
    )

    def parts(message):
        text = "".join(block.text for block in message.content if block.type == "text")
        tools = [block.input for block in message.content if block.type == "tool_use"]
        return text, tools[0]

    tell("messages", *parts(client.messages.create(**ask)))
    with client.messages.stream(**ask) as stream:
        heard = "".join(stream.text_stream)
        text, arguments = parts(stream.get_final_message())
        assert heard == text, (heard, text)
        tell("messages stream", text, arguments)


def chat(client):
    ask = dict(model="gpt-5.5", max_tokens=100, messages=[{"role": "user", "content": ASK}])
    message = client.chat.completions.create(**ask).choices[0].message
    tell("chat", message.content, json.loads(message.tool_calls[0].function.arguments))
    text, calls = "", {}
    for chunk in client.chat.completions.create(stream=True, **ask):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                calls[call.index] = calls.get(call.index, "") + (call.function.arguments or "")
    tell("chat stream", text, json.loads(calls[0]))


def responses(client):
    ask = dict(model="gpt-5.5", max_output_tokens=100, input=ASK)

    def parts(response):
        calls = [item for item in response.output if item.type == "function_call"]
        return response.output_text, json.loads(calls[0].arguments)

    tell("responses", *parts(client.responses.create(**ask)))
    text, arguments, final = "", "", None
    for event in client.responses.create(stream=True, **ask):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.function_call_arguments.delta":
            arguments += event.delta
        elif event.type == "response.completed":
            final = event.response
    assert parts(final) == (text, json.loads(arguments)), (parts(final), text, arguments)
    tell("responses stream", text, json.loads(arguments))


messages(anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0))
compatible = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
chat(compatible)
responses(compatible)
