/**
 * Golden states: what today's versions of this library store, for later ones to read. Each is made once, where its file is missing: keys and
 * nonces in them were drawn afresh, and what counts is that the bytes of that day stay readable.
 */

import { concat, toHex } from '../../src/bytes.js';
import { FORMAT } from '../../src/client/records.js';
import { exportAccount } from '../../src/client/transfer.js';
import { rawKeySlot } from '../../src/store/sealed.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import { makeStoreVectors } from '../../test/helpers/client-store-vectors.js';
import { makeNodeStore } from '../../test/helpers/node-vectors.js';
import { person, START } from '../../test/helpers/people.js';
import { makeStateVectors } from '../../test/helpers/ratchet-states.js';
import { testRng } from '../../test/helpers/rng.js';
import { makeSealedStore } from '../../test/helpers/sealed-vectors.js';

/** An export of an account with two contacts and three records of an application. */
async function makeExport(): Promise<unknown> {
  const clock = { ms: START };
  const network = memoryNetwork();
  const open = (name: string) => person(name, network, clock, { seed: `export ${name}` });
  const [alice, bob, carol] = [await open('alice'), await open('bob'), await open('carol')];
  for (const each of [bob, carol]) {
    await alice.client.send(each.account, 'hello');
    await each.read();
  }
  await (await alice.client.contact('bob').safetyNumber()).confirmDigits();
  const key = testRng('export key')(32);
  const history = ['first', '', 'third'].map((text) => new TextEncoder().encode(text));
  async function* records(): AsyncIterable<Uint8Array> {
    yield* history;
  }
  const parts: Uint8Array[] = [];
  const reader = exportAccount(alice.store, rawKeySlot(key), { history: records() }).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value);
  const { digits } = await alice.client.contact('bob').safetyNumber();
  return {
    description:
      'An export of format 1 (section 9.2), sealed by a raw key slot of section 9.1 with `key`. Inside are the account alice, her contacts bob, whom she has verified, and carol, and three records of an application, `history`. `safetyNumber` is the one with bob. Times in ms since 1970, bytes hexadecimal.',
    account: 'alice',
    nowMs: START,
    key: toHex(key),
    history: history.map(toHex),
    safetyNumber: digits,
    export: toHex(concat(...parts)),
  };
}

/** Makers by file name; the number in a name is the format that they write, so that a new format needs a new name. */
export const GOLDEN: Readonly<Record<string, () => unknown>> = {
  [`client-store-v${FORMAT}.json`]: () => makeStoreVectors(FORMAT),
  'export-v1.json': makeExport,
  'node-store-v2.json': () => makeNodeStore(2),
  'ratchet-state-v1.json': makeStateVectors,
  'sealed-store-v1.json': () => makeSealedStore(1),
};
