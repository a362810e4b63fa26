// Runs in each runtime that has a file system: a conversation over a relay, with stores on disk that are closed and opened in between.
// Takes the relay's address, a folder, and what makes the accounts' names its own.
import { join } from 'node:path';
import { createClient } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';

const [url, folder, suffix] = process.argv.slice(2);
const open = (name) => createClient({ account: `${name}-${suffix}`, store: nodeStore(join(folder, `${name}-${suffix}`)), ...relay(url) });

async function next(client) {
  for await (const message of client.messages()) {
    await message.ack();
    return message;
  }
}

const registered = await open('bob');
await registered.close();
const first = await open('alice');
const sent = await first.send(registered.account, 'Hello, Bob!');
await sent.until('accepted', { signal: AbortSignal.timeout(20_000) });
await first.close();

const [alice, bob] = await Promise.all([open('alice'), open('bob')]);
if (alice.device !== first.device || bob.device !== registered.device) throw new Error('a store was not the same after it was closed');
const message = await next(bob);
await bob.send(message.conversation, `${message.text} Hello, Alice!`);
console.log((await next(alice)).text);
await Promise.all([alice.close(), bob.close()]);
