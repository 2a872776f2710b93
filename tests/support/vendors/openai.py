"""api.openai.com: models, and chat completions at once or as a stream.

Docs: https://platform.openai.com/docs/api-reference/authentication (Authorization: Bearer KEY),
https://platform.openai.com/docs/api-reference/chat/create,
https://platform.openai.com/docs/api-reference/chat-streaming (data-only events, ended by [DONE]),
https://platform.openai.com/docs/guides/error-codes (401 "Incorrect API key provided", 404 for a model).
"""

import json
import secrets
import time

from .vendor import Refusal, Vendor, event_stream, json_reply

MODELS = ("gpt-4o-mini", "gpt-4o")


def _masked(value):
    """The documented message shows the ends of the key that was sent."""
    return value[:3] + "*" * 8 + value[-4:] if len(value) > 12 else "*" * 8


class OpenAI(Vendor):
    name = "openai"
    hosts = ("api.openai.com",)
    routes = (
        ("models", "GET", "/v1/models", "list_models"),
        ("model", "GET", "/v1/models/(?P<model>[^/]+)", "get_model"),
        ("chat", "POST", "/v1/chat/completions", "chat"),
    )

    def authenticate(self, request):
        name = self.presented(request, "bearer")
        if name == "":
            raise Refusal(401, None, "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth.")
        if name is None:
            value = request.headers["Authorization"].partition(" ")[2]
            text = f"Incorrect API key provided: {_masked(value)}. You can find your API key at https://platform.openai.com/account/api-keys."
            raise Refusal(401, "invalid_api_key", text)

    def unknown(self, request):
        return Refusal(404, None, f"Invalid URL ({request.method} {request.path})")

    def refuse(self, refusal):
        error = {"message": refusal.message, "type": "invalid_request_error", "param": None, "code": refusal.code}
        return json_reply(refusal.status, {"error": error}, {"x-request-id": _identifier("req")})

    def _model(self, name):
        return {"id": name, "object": "model", "created": 1721172741, "owned_by": "system"}

    def list_models(self, _request):
        return json_reply(200, {"object": "list", "data": [self._model(name) for name in MODELS]})

    def get_model(self, _request, model):
        if model not in MODELS:
            raise Refusal(404, "model_not_found", f"The model '{model}' does not exist")
        return json_reply(200, self._model(model))

    def chat(self, request):
        body = request.json_object()
        messages = body.get("messages")
        if body.get("model") not in MODELS:
            raise Refusal(404, "model_not_found", f"The model '{body.get('model')}' does not exist or you do not have access to it.")
        if not isinstance(messages, list) or not messages:
            raise Refusal(400, None, "'messages' is a required property")
        words = f"You said: {_text(messages[-1])}".split(" ")
        common = {"id": _identifier("chatcmpl"), "created": int(time.time()), "model": body["model"]}
        if body.get("stream"):
            return event_stream(_stream(common, words))
        message = {"role": "assistant", "content": " ".join(words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": 1 + len(words)}
        return json_reply(200, {**common, "object": "chat.completion", "choices": [choice], "usage": usage})


def _identifier(kind):
    return f"{kind}-{secrets.token_hex(12)}"


def _text(message):
    content = message.get("content") if isinstance(message, dict) else ""
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content)
    return content or ""


def _stream(common, words):
    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return f"data: {json.dumps({**common, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()

    yield chunk({"role": "assistant", "content": ""})
    for number, word in enumerate(words):
        yield chunk({"content": (" " if number else "") + word})
    yield chunk({}, "stop")
    yield b"data: [DONE]\n\n"
