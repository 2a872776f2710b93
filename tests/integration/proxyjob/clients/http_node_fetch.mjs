// The package node-fetch, from the folder that is the first argument.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { run } from './batch.mjs';

const require = createRequire(`${process.argv[2]}/any.js`);
const { default: fetch } = await import(pathToFileURL(require.resolve('node-fetch')));
await run(fetch);
