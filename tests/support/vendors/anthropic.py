"""api.anthropic.com: messages at once or as a stream, and models.

Docs: https://docs.anthropic.com/en/api/overview (x-api-key, anthropic-version and content-type are
required; the vendor's own packages send the key as a bearer from 1.0 of Node's and 2.0 of Python's on), https://docs.anthropic.com/en/api/messages, https://docs.anthropic.com/en/api/messages-streaming
(named events from message_start to message_stop, pings between), https://docs.anthropic.com/en/api/errors
(401 authentication_error, 404 not_found_error, 400 invalid_request_error).
"""

import json
import secrets

from .vendor import Refusal, Vendor, event_stream, json_reply

MODELS = ("claude-sonnet-4-5", "claude-3-5-haiku-latest")


class Anthropic(Vendor):
    name = "anthropic"
    hosts = ("api.anthropic.com",)
    routes = (
        ("messages", "POST", "/v1/messages", "messages"),
        ("models", "GET", "/v1/models", "models"),
    )

    def authenticate(self, request):
        name = self.presented(request, "x-api-key", "bearer")
        if name == "":
            raise Refusal(401, "authentication_error", "x-api-key header is required")
        if name is None:
            raise Refusal(401, "authentication_error", "invalid x-api-key")
        if not request.headers.get("anthropic-version"):
            raise Refusal(400, "invalid_request_error", "anthropic-version: header is required")

    def unknown(self, _request):
        return Refusal(404, "not_found_error", "Not found")

    def refuse(self, refusal):
        identifier = "req_" + secrets.token_hex(12)
        body = {"type": "error", "error": {"type": refusal.code, "message": refusal.message}, "request_id": identifier}
        return json_reply(refusal.status, body, {"request-id": identifier})

    def models(self, _request):
        data = [{"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"} for name in MODELS]
        return json_reply(200, {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})

    def messages(self, request):
        body = request.json_object()
        messages = body.get("messages")
        if body.get("model") not in MODELS:
            raise Refusal(404, "not_found_error", f"model: {body.get('model')}")
        if not isinstance(body.get("max_tokens"), int):
            raise Refusal(400, "invalid_request_error", "max_tokens: Field required")
        if not isinstance(messages, list) or not messages:
            raise Refusal(400, "invalid_request_error", "messages: Field required")
        words = f"You said: {_text(messages[-1])}".split(" ")
        message = {
            "id": "msg_" + secrets.token_hex(12),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        if body.get("stream"):
            return event_stream(_stream(message, words))
        content = [{"type": "text", "text": " ".join(words)}]
        return json_reply(200, {**message, "content": content, "stop_reason": "end_turn"})


def _text(message):
    content = message.get("content") if isinstance(message, dict) else ""
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content)
    return content or ""


def _stream(message, words):
    def event(kind, **fields):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for number, word in enumerate(words):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": (" " if number else "") + word})
    yield event("content_block_stop", index=0)
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": len(words)})
    yield event("message_stop")
