"""Python requests, with a session, as a program would use it."""

import batch
import requests

session = requests.Session()


def send(method, url, headers, body):
    answer = session.request(method, url, headers=headers, data=body, allow_redirects=False, timeout=20)
    return batch.result(answer.status_code, answer.headers.items(), answer.content)


batch.run(send)
