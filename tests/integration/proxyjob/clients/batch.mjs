// As batch.py, for clients in Node.js.

import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';

const LIMIT = 4096;

function expand(value) {
  return value
    .replace(/@\{(\w+)\}/g, (_, name) => process.env[name])
    .replace(/@b64\{([^}]*)\}/g, (_, inner) => Buffer.from(inner).toString('base64'));
}

function bodyOf(request) {
  if (request.size !== undefined) return Buffer.alloc(request.size);
  return request.body ? expand(request.body) : undefined;
}

function cause(error) {
  return error.cause ? `${error}: ${cause(error.cause)}` : String(error.code ?? error);
}

export async function run(fetch) {
  for (const request of JSON.parse(await text(process.stdin))) {
    const headers = Object.entries(request.headers ?? {}).map(([name, value]) => [name, expand(value)]);
    const options = { method: request.method ?? 'GET', headers, body: bodyOf(request), redirect: 'manual' };
    let answer;
    try {
      const response = await fetch(expand(request.url), options);
      const body = Buffer.from(await response.arrayBuffer());
      answer = {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        size: body.length,
        sha256: createHash('sha256').update(body).digest('hex'),
        body: body.subarray(0, LIMIT).toString('latin1'),
      };
    } catch (error) {
      answer = { error: cause(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
