import { expect, test, vi } from 'vitest';
import { memoryNetwork } from '../../src/transport/memory.js';
import { linked } from '../helpers/devices.js';
import { type Mortal, mortal } from '../helpers/mortal.js';
import { type Person, person, START } from '../helpers/people.js';

vi.mock('../../src/limits.js', async (original) => (await import('../helpers/few-prekeys.js')).fewPrekeys(await original()));

const PATIENCE = { timeout: 20_000 };
const PARTS = 3;

/** The device of `who`, which closes, as one whose process may die. */
async function mortally(who: Person, network: ReturnType<typeof memoryNetwork>, clock: { ms: number }, seed: string): Promise<Mortal> {
  await who.client.close();
  const device = mortal('alice', network, clock, {}, undefined, seed);
  await device.store.commit([...who.store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  return device;
}

test('T26: a device that dies while it sends a history, or receives one: a transfer arrives whole, and no part twice', async () => {
  const [network, clock] = [memoryNetwork(), { ms: START }];
  const alice = await person('alice', network, clock);
  const joined = await linked(alice, network, clock);
  const to = joined.client.device;
  const [desk, phone] = [await mortally(alice, network, clock, 'desk'), await mortally(joined, network, clock, 'phone')];
  /** What the application on the phone has stored: records by transfer and part, under the id of their message. */
  const shown = new Map<string, { readonly name: string; readonly transfer: string; readonly value: number }>();

  /** The application sends three parts, and again where it can't know whether they left, until they have arrived. */
  const round = async (value: number): Promise<void> => {
    const records = Array.from({ length: PARTS }, () => new Uint8Array(30_000).fill(value));
    const receiving = phone.run(async (client) => {
      const isWhole = (): boolean => {
        const ofRound = [...shown.values()].filter((each) => each.value === value);
        return ofRound.some(({ transfer }) => ofRound.filter((each) => each.transfer === transfer).length === PARTS);
      };
      if (isWhole()) return;
      for await (const { id, content, ack } of client.messages()) {
        if (content.kind !== 'history') throw new Error('not a history');
        const { transfer, part } = content;
        shown.set(id, { name: `${transfer} ${part}`, transfer, value: content.records[0]![0]! });
        await ack();
        if (isWhole()) return;
      }
    });
    await desk.run((client) => client.devices.sendHistory(to, records));
    await receiving;
  };
  let value = 0;
  for (const device of [desk, phone]) {
    // What was broken off before has come by the end of a round.
    await round(++value);
    const before = device.store.commits;
    await round(++value);
    const commits = device.store.commits - before;
    // Three for each part on one side, and two on the other.
    expect(commits).toBe(PARTS * (device === desk ? 3 : 2));
    for (let atCommit = 1; atCommit <= commits; atCommit++) {
      for (const side of ['before', 'after'] as const) {
        const { crashes } = device;
        device.arm({ atCommit, side });
        await round(++value);
        expect(device.crashes, `commit ${atCommit}, ${side}`).toBe(crashes + 1);
      }
    }
  }
  const names = [...shown.values()].map(({ name }) => name);
  expect(names.length).toBe(new Set(names).size);
  const transfers = new Map(names.map((name) => [name.slice(0, 32), 0]));
  for (const name of names) transfers.set(name.slice(0, 32), Math.max(transfers.get(name.slice(0, 32))!, Number(name.slice(33)) + 1));
  // Of a transfer that was broken off its first parts have come, and none is missing between them.
  for (const [transfer, count] of transfers) expect(names.filter((name) => name.startsWith(transfer)).length).toBe(count);
  const left = (spaces: RegExp, { store }: Mortal): string[] => [...store.rows().keys()].filter((key) => spaces.test(key));
  await vi.waitFor(() => expect(left(/^\["(pending|outbox|unsent|sent|log)"/, desk)).toEqual([]), PATIENCE);
  expect(left(/^\["inbox"/, phone)).toEqual([]);
  await Promise.all([desk.close(), phone.close()]);
});
