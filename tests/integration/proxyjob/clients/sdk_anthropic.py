"""The official package of Anthropic: lists models, asks once, asks for a stream, and tries a path that is denied."""

import json

import anthropic

client = anthropic.Anthropic(max_retries=0)
chat = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "one two three"}]}
models = [model.id for model in client.models.list()]
once = client.messages.create(**chat).content[0].text
with client.messages.stream(**chat) as stream:
    streamed = stream.get_final_text()
try:
    denied = None
    client.get("/v1/organizations/users", cast_to=object)
except anthropic.APIStatusError as error:
    denied = error.status_code
print(json.dumps({"models": models, "once": once, "streamed": streamed, "denied": denied}))
