/**
 * A person's process that may be killed at any moment: a client on nodeStore, a relay, and an application that says on its standard
 * output what it was promised, each time before it goes on. What it says is what its parent knows after its death.
 */

import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createClient, isCyphrError } from '../../src/index.js';
import { nodeStore } from '../../src/store/node.js';
import type { Store } from '../../src/store/port.js';
import { relay } from '../../src/transport/websocket.js';
import type { ChildPlan } from './crash-run.js';

/** Messages that may be on their way at the same time. */
const AHEAD = 4;

const plan: ChildPlan = JSON.parse(process.argv[2]!);
// Synchronous: what was said was said before the next thing happened.
const say = (...words: readonly (string | number)[]): void => void writeSync(1, `${words.join(' ')}\n`);

/** A store whose process dies by its own hand, at once, before or after one of its calls. */
function deadly(store: Store): Store {
  let calls = 0;
  const at = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    say('call', what);
    const isLast = plan.killAt !== undefined && what === (plan.killAt.what ?? what) && ++calls === plan.killAt.call;
    if (isLast && plan.killAt?.side === 'before') process.kill(process.pid, 'SIGKILL');
    const result = await call();
    if (isLast) process.kill(process.pid, 'SIGKILL');
    return result;
  };
  return {
    read: (keys) => at('read', () => store.read(keys)),
    list: (prefix, limit, after) => at('list', () => store.list(prefix, limit, after)),
    commit: (writes) => at('commit', () => store.commit(writes)),
    close: () => at('close', () => store.close()),
  };
}

say('start');
const store = nodeStore(plan.path);
const client = await createClient({
  account: 'alice',
  store: plan.mode === 'steps' ? deadly(store) : store,
  ...relay(plan.url),
});
client.on('undecryptable', ({ code }) => say('undecryptable', code));
say('up');

let acked = 0;
async function read(until: () => boolean): Promise<void> {
  for await (const message of client.messages()) {
    say('got', message.id, message.text);
    await message.ack();
    say('acked', message.id);
    acked++;
    if (until()) return;
  }
}

async function send(n: number): Promise<void> {
  const sent = await client.send('bob', `a${n}`, { key: `a${n}` });
  say('sent', n);
  await sent.until('accepted');
  say('accepted', n);
}

let isClosing = false;
async function stop(): Promise<void> {
  isClosing = true;
  await client.close();
  say('done');
  process.exit(0);
}

if (plan.mode === 'steps') {
  await send(plan.from);
  await read(() => acked > 0);
  await stop();
} else {
  let isStopping = false;
  createInterface({ input: process.stdin }).on('line', (word) => {
    if (word === 'quiet') isStopping = true;
    if (word === 'stop') void stop();
  });
  read(() => false).catch((error: unknown) => {
    // What was shown in the moment of closing comes again: to acknowledge it is too late.
    if (!isClosing || !isCyphrError(error) || error.code !== 'ERR_CLOSED') throw error;
  });
  const underWay: Promise<void>[] = [];
  for (let n = plan.from; !isStopping; n++) {
    await underWay[underWay.length - AHEAD];
    underWay.push(send(n));
  }
  await Promise.all(underWay);
  say('quiet');
}
