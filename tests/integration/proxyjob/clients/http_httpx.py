"""Python httpx."""

import batch
import httpx

client = httpx.Client(timeout=20)


def send(method, url, headers, body):
    answer = client.request(method, url, headers=headers, content=body)
    return batch.result(answer.status_code, answer.headers.items(), answer.content)


batch.run(send)
