// The official package of Anthropic: lists models, asks once, asks for a stream, and tries a path that is denied.
import { createRequire } from 'node:module';

const { Anthropic } = createRequire(`${process.argv[2]}/any.js`)('@anthropic-ai/sdk');
const client = new Anthropic({ maxRetries: 0 });
const chat = { model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'one two three' }] };

const models = [];
for await (const model of client.models.list()) models.push(model.id);
const answer = await client.messages.create(chat);
const streamed = await client.messages.stream(chat).finalText();
let denied = null;
try {
  await client.get('/v1/organizations/users');
} catch (error) {
  denied = error.status;
}
console.log(JSON.stringify({ models, once: answer.content[0].text, streamed, denied }));
