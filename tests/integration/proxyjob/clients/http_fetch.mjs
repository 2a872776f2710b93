// Node's own fetch, which is undici.
import { run } from './batch.mjs';

await run(fetch);
