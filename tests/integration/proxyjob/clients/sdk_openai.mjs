// The official package of OpenAI: lists models, asks once, asks for a stream, and tries a path that is denied.
import { createRequire } from 'node:module';

const { OpenAI } = createRequire(`${process.argv[2]}/any.js`)('openai');
const client = new OpenAI({ maxRetries: 0 });
const chat = { model: 'gpt-4o', messages: [{ role: 'user', content: 'one two three' }] };

const models = [];
for await (const model of client.models.list()) models.push(model.id);
const answer = await client.chat.completions.create(chat);
let streamed = '';
for await (const chunk of await client.chat.completions.create({ ...chat, stream: true })) {
  streamed += chunk.choices[0].delta.content ?? '';
}
let denied = null;
try {
  await client.get('/organization/users');
} catch (error) {
  denied = error.status;
}
console.log(JSON.stringify({ models, once: answer.choices[0].message.content, streamed, denied }));
