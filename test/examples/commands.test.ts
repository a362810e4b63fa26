/** The commands of examples/ as somebody types them who gets it wrong: a sentence and what there is to type, not a stack trace. */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { startRelay } from '../../examples/relay/relay.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cyphr-commands-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a command to its end: the exit code, and what it said. */
function run(script: string, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, TSX_TSCONFIG_PATH: 'examples/tsconfig.json' };
    const child = execFile(process.execPath, ['--import', 'tsx', `examples/${script}`, ...words], { cwd: ROOT, env }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}
const trace = /\n {4}at /;

test.each(['relay', 'web', 'chat'])('%s --help', async (name) => {
  const { code, out, err } = await run(`${name}/main.ts`, '--help');
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`npm run ${name} -- `);
});

test.each([
  ['relay', ['--prot', '1'], '--prot'],
  ['relay', ['--port', 'x'], 'port'],
  ['relay', ['--data', folder, '--limit', 'speed=1'], 'no such limit'],
  ['web', ['--prot', '1'], '--prot'],
  ['chat', [], 'Under which name'],
] as const)('%s %j', async (name, words, said) => {
  const { code, err } = await run(`${name}/main.ts`, ...words);
  expect(code).toBe(2);
  expect(err).toContain(said);
  expect(err).toContain(`npm run ${name} -- `);
  expect(err).not.toMatch(trace);
});

test('chat with an address that is none', async () => {
  const { code, err } = await run('chat/main.ts', 'alice', '--data', join(folder, 'alice'), '--relay', 'relay.example');
  expect([code, err]).toEqual([1, 'relay address must be wss://host[:port][/path] (ERR_ARGUMENT)\n']);
});

test('a port that is taken, and a folder that is', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  const data = join(folder, 'relay');
  const taken = await run('relay/main.ts', '--port', String(port), '--data', data);
  server.close();
  expect(taken.code).toBe(1);
  expect(taken.err).toContain(`Port ${port} is taken`);
  expect(taken.err).not.toMatch(trace);
  const relay = await startRelay({ data, logLevel: 'silent' });
  const second = await run('relay/main.ts', '--port', '0', '--data', data);
  await relay.close();
  expect([second.code, second.err]).toEqual([1, 'Another process has this folder open.\n']);
});
