/**
 * One of the two people of the demonstration: a process that sends a text line by line and writes down every line that it gets.
 *
 * It may be killed at any moment and started again with the same options. Nothing here takes part in encryption; what makes it
 * survive is the pattern that every application uses: an idempotency key for what it sends, and for what it receives first its own
 * durable record by `message.id`, then `ack()`.
 */

import { appendFileSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createClient } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';

/** Lines that may be on their way at the same time: a person types, and doesn't pour. */
const AHEAD = 8;

const { values } = parseArgs({
  options: {
    account: { type: 'string', default: '' },
    to: { type: 'string', default: '' },
    relay: { type: 'string', default: '' },
    data: { type: 'string', default: '' },
    text: { type: 'string', default: '' },
  },
});

/** One line of JSON for whoever started this process. */
function report(event: Readonly<Record<string, number | string>>): void {
  console.log(JSON.stringify(event));
}

/** What this person has read, on disk before it is acknowledged: one line of JSON per message. */
function openNotebook(path: string) {
  // A line that was cut off by a crash was never acknowledged: its message comes again.
  const whole = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  const ids = new Set<string>();
  for (const line of whole) {
    try {
      ids.add((JSON.parse(line) as { id: string }).id);
    } catch {}
  }
  if (existsSync(path) && !readFileSync(path, 'utf8').endsWith('\n')) appendFileSync(path, '\n');
  const file = openSync(path, 'a');
  return {
    count: () => ids.size,
    write(id: string, text: string): void {
      if (ids.has(id)) return;
      writeSync(file, `${JSON.stringify({ id, text })}\n`);
      fsyncSync(file);
      ids.add(id);
    },
  };
}

mkdirSync(values.data, { recursive: true });
const lines = readFileSync(values.text, 'utf8').trimEnd().split('\n');
const notebook = openNotebook(join(values.data, 'received.jsonl'));
const client = await createClient({ account: values.account, store: nodeStore(join(values.data, 'store')), ...relay(values.relay) });
client.on('undecryptable', ({ code, heals }) => report({ event: 'undecryptable', code, heals }));
report({ event: 'up', got: notebook.count() });

async function read(): Promise<void> {
  for await (const message of client.messages()) {
    notebook.write(message.id, message.text);
    await message.ack();
    report({ event: 'got', count: notebook.count() });
  }
}

async function write(): Promise<void> {
  const accepted: Promise<void>[] = [];
  let count = 0;
  for (const [i, line] of lines.entries()) {
    await accepted[i - AHEAD];
    // The number makes every line a different one, and lets the reader check the order. After a restart this begins again at
    // line 1; the key makes each send the same one as before.
    const sent = await client.send(values.to, `${i + 1} ${line}`, { key: `line-${i + 1}` });
    accepted.push(sent.until('accepted').then(() => report({ event: 'accepted', count: ++count })));
  }
  await Promise.all(accepted);
  report({ event: 'done', count });
}

const stop = async (): Promise<never> => {
  await client.close();
  process.exit(0);
};
createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'write') write().catch(fail);
  if (word === 'stop') void stop();
});
function fail(error: unknown): never {
  report({ event: 'failed', error: (error as Error)?.stack ?? String(error) });
  process.exit(1);
}
read().catch(fail);
