// Runs a command as an MCP server, with the official SDK as the client, and
// calls tools of it. What passes here passes in a real MCP client.
//
//   node call-tool.mjs --modules DIR [OPTION...] -- COMMAND [ARGUMENT...]
//
//   --modules DIR     where install.sh put the packages
//   --tool NAME       call one tool, print its result, and end
//   --arguments JSON  the arguments of that call (default {})
//   --list            print the names of the tools, and end
//   --lines           a line {"tool": ..., "arguments": ...} or {"list": true} on
//                     standard input gives a line on standard output
//   --cwd DIR         working directory of the server
//   --env NAME=VALUE  variable of the server; --env NAME passes ours on
//   --timeout MS      of each request (default 20000)
//
// The SDK gives a server HOME, LOGNAME, PATH, SHELL, TERM and USER, and no other
// variable of ours: that is what real clients do, so --env is needed for more.
//
// An answer is {"result": ...} or {"error": {"code": ..., "message": ...}}. With
// --lines the first line is {"ready": true, "server": ..., "tools": [...]}.
//
// Exit status: 0 done; 1 the tool said isError; 2 usage; 3 the server did not
// start or initialize; 4 a request failed (protocol error, timeout); 5 the
// server ended too early. With --lines, 1 and 4 show in the answers alone.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const EXIT = { done: 0, toolError: 1, usage: 2, noStart: 3, requestFailed: 4, serverEnded: 5 };

function usage(message) {
  process.stderr.write(`call-tool: ${message}\n`);
  process.exit(EXIT.usage);
}

function readArguments() {
  const single = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        modules: single, tool: single, arguments: { ...single, default: '{}' }, cwd: single,
        timeout: { ...single, default: '20000' }, env: { ...single, multiple: true, default: [] },
        list: flag, lines: flag,
      },
    });
  } catch (error) {
    usage(error.message);
  }
  const { values, positionals: command } = parsed;
  const modes = [values.tool !== undefined, values.list, values.lines].filter(Boolean).length;
  if (!values.modules) usage('--modules is needed');
  if (modes !== 1) usage('one of --tool, --list and --lines is needed');
  if (command.length === 0) usage('no command');
  return { ...values, command, timeout: Number(values.timeout) };
}

function parseJson(text) {
  const value = JSON.parse(text);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new SyntaxError('not an object');
  }
  return value;
}

// The packages are outside the tree, where an `import` would not look.
function loadSdk(modules) {
  const require = createRequire(resolve(modules, 'any.js'));
  return {
    ...require('@modelcontextprotocol/sdk/client/index.js'),
    ...require('@modelcontextprotocol/sdk/client/stdio.js'),
  };
}

function serverEnvironment(base, wanted) {
  const env = { ...base };
  for (const item of wanted) {
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? process.env[name] : item.slice(equals + 1);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

// One session with the server. A request that fails because the server has gone
// is told apart from one that the server refused.
class Session {
  ended = false;

  constructor(options) {
    const sdk = loadSdk(options.modules);
    this.timeout = options.timeout;
    this.client = new sdk.Client({ name: 'call-tool', version: '1' });
    this.transport = new sdk.StdioClientTransport({
      command: options.command[0],
      args: options.command.slice(1),
      env: serverEnvironment(sdk.getDefaultEnvironment(), options.env),
      cwd: options.cwd,
      stderr: 'inherit',
    });
  }

  async open() {
    await this.client.connect(this.transport, { timeout: this.timeout });
    this.client.onclose = () => { this.ended = true; };
  }

  async answer(request) {
    try {
      return { result: await request() };
    } catch (error) {
      return { error: { code: error.code ?? null, message: error.message } };
    }
  }

  list() {
    return this.answer(() => this.client.listTools(undefined, { timeout: this.timeout }));
  }

  call(name, args = {}) {
    const request = { name, arguments: args };
    return this.answer(() => this.client.callTool(request, undefined, { timeout: this.timeout }));
  }

  status(answer) {
    if (this.ended) return EXIT.serverEnded;
    if (answer.error) return EXIT.requestFailed;
    return answer.result.isError ? EXIT.toolError : EXIT.done;
  }

  async close() {
    await this.client.close();
  }
}

function names(answer) {
  return answer.result.tools.map((tool) => tool.name);
}

async function answerLine(session, line) {
  let request;
  try {
    request = parseJson(line);
  } catch (error) {
    return { error: { code: null, message: `bad line: ${error.message}` } };
  }
  if (request.list) return session.list();
  return session.call(request.tool, request.arguments);
}

async function runLines(session) {
  const listed = await session.list();
  if (listed.error) {
    print(listed);
    return session.status(listed);
  }
  print({ ready: true, server: session.client.getServerVersion(), tools: names(listed) });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === '') continue;
    print(await answerLine(session, line));
    if (session.ended) return EXIT.serverEnded;
  }
  return session.ended ? EXIT.serverEnded : EXIT.done;
}

async function run(session, options) {
  if (options.lines) return runLines(session);
  if (options.list) {
    const answer = await session.list();
    print(answer.error ? answer : { result: names(answer) });
    return session.status(answer);
  }
  const answer = await session.call(options.tool, options.parsedArguments);
  print(answer);
  return session.status(answer);
}

async function main() {
  const options = readArguments();
  try {
    options.parsedArguments = parseJson(options.arguments);
  } catch (error) {
    usage(`--arguments: ${error.message}`);
  }
  let session;
  try {
    session = new Session(options);
  } catch (error) {
    usage(error.message);
  }
  try {
    await session.open();
  } catch (error) {
    process.stderr.write(`call-tool: the server did not start: ${error.message}\n`);
    return EXIT.noStart;
  }
  try {
    return await run(session, options);
  } finally {
    await session.close();
  }
}

process.exit(await main());
