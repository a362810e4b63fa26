/** The chat in the terminal, as people use it: nobody is verified whose number was not shown, and what it says to type works. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { createClient } from '../../src/index.js';
import { memoryStore } from '../../src/store/memory.js';
import { relay as relayPorts } from '../../src/transport/websocket.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CHAT = `"${process.execPath}" --import tsx examples/chat/main.ts`;
const folder = mkdtempSync(join(tmpdir(), 'cyphr-chat-'));
const started: ChildProcess[] = [];
let relay: Relay;
beforeAll(async () => {
  relay = await startRelay({ data: join(folder, 'relay'), logLevel: 'silent' });
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.stdin!.end();
    await (child.exitCode ?? once(child, 'exit'));
  }
});
afterAll(async () => {
  await relay.close();
  rmSync(folder, { recursive: true });
});

/** A chat, started by what somebody types after `npm run chat --`. */
function chat(words: string) {
  const env = { ...process.env, TSX_TSCONFIG_PATH: 'examples/tsconfig.json' };
  const child = spawn('sh', ['-c', `exec ${CHAT} ${words}`], { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  let unread = '';
  let hasEnded = false;
  let changed = (): void => {};
  child.on('exit', () => {
    hasEnded = true;
    changed();
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    unread += text;
    changed();
  });
  return {
    /** The groups of the next text that looks so; what came before it counts as read. */
    async says(pattern: RegExp): Promise<string[]> {
      for (;;) {
        const found = pattern.exec(unread);
        if (found !== null) {
          unread = unread.slice(found.index + found[0].length);
          return found.slice(1);
        }
        if (hasEnded) throw new Error(`ended without ${pattern}: ${unread}`);
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    },
    types: (line: string) => void child.stdin.write(`${line}\n`),
  };
}

test('/verify and /accept take the number that /safety showed of this person, and none otherwise; the folder is private', async () => {
  const [bob, carol] = await Promise.all(
    ['bob', 'carol'].map((account) => createClient({ account, store: memoryStore(), ...relayPorts(relay.url) })),
  );
  const data = join(folder, 'alice');
  const alice = chat(`alice --to bob --relay ${relay.url} --data ${data}`);
  await alice.says(/online/);
  expect(statSync(data).mode & 0o777).toBe(0o700);
  for (const verb of ['verify', 'accept']) {
    alice.types(`/${verb}`);
    await alice.says(/! Type \/safety first/);
  }
  alice.types('/safety');
  const [digits] = await alice.says(/((?:\d{5} ){11}\d{5})/);
  alice.types('/to carol');
  alice.types('/verify');
  await alice.says(/! Type \/safety first/);
  alice.types('/to bob');
  alice.types('/verify');
  await alice.says(/bob is verified/);
  expect((await bob!.contact('alice').safetyNumber()).digits).toBe(digits);
  await Promise.all([bob!.close(), carol!.close()]);
}, 60_000);

test('what /link says to type links a device: of a name with a blank, and with the relay that was given', async () => {
  const laptop = chat(`"Anna d'Arc" --relay ${relay.url} --data ${join(folder, 'laptop')}`);
  await laptop.says(/online/);
  laptop.types('/link');
  const [words] = await laptop.says(/npm run chat -- (.+)\n/);
  const phone = chat(words!.replace('SOME/FOLDER', join(folder, 'phone')));
  const [shown] = await phone.says(/show (\d+ \d+)\?/);
  expect(await laptop.says(/show (\d+ \d+)\?/)).toEqual([shown]);
  laptop.types('/confirm');
  await phone.says(/Anna d'Arc, device \d+, by /);
}, 60_000);
