"""The official package of OpenAI: lists models, asks once, asks for a stream, and tries a path that is denied."""

import json

import openai

client = openai.OpenAI(max_retries=0)
chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}]}
models = [model.id for model in client.models.list()]
once = client.chat.completions.create(**chat).choices[0].message.content
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**chat, stream=True))
try:
    denied = None
    client.get("/organization/users", cast_to=object)
except openai.APIStatusError as error:
    denied = error.status_code
print(json.dumps({"models": models, "once": once, "streamed": streamed, "denied": denied}))
