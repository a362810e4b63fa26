import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { expect, test } from 'vitest';

test('two people, one process, a network in memory', async () => {
  const network = memoryNetwork();
  const log: unknown[] = [];
  const alice = await createClient({ account: 'alice', store: memoryStore(), ...network, observe: (r) => log.push(r) });
  const bob = await createClient({ account: 'bob', store: memoryStore(), ...network, observe: (r) => log.push(r) });

  const sent = await alice.send('bob', 'Hello, Bob!');
  await sent.until('accepted');
  for await (const message of bob.messages()) {
    expect([message.from.account, message.text]).toEqual(['alice', 'Hello, Bob!']);
    await message.ack();
    break;
  }
  await bob.send('alice', 'Hello, Alice!');
  for await (const message of alice.messages()) {
    expect([message.from.account, message.text]).toEqual(['bob', 'Hello, Alice!']);
    await message.ack();
    break;
  }
  const texts = Array.from({ length: 50 }, (_, i) => `line ${i}`);
  for (const text of texts) void alice.send('bob', text);
  const got: string[] = [];
  for await (const message of bob.messages()) {
    got.push(message.text);
    await message.ack();
    if (got.length === texts.length) break;
  }
  expect(got).toEqual(texts);
  await Promise.all([alice.close(), bob.close()]);
}, 20_000);
