/**
 * The contract of the `Directory` port as runnable cases, for anyone's directory. What is published here is opaque bytes of the right
 * lengths: a directory that parses or verifies them does more than the port asks.
 */

import { concat, toHex, u32 } from '../bytes.js';
import type { Address, BundleBytes, DeviceKeys } from '../step.js';
import type { Directory, Login } from '../transport/port.js';
import { assert, assertBytes, assertRejects, assertSame, rejection, within } from './assert.js';
import type { ConformanceCase } from './conformance.js';
import { testLogin } from './login.js';

/** How the suite gets at the directory under test. */
export interface DirectoryConformanceSetup {
  /** The directory as one device sees it. Where a service verifies logins, replace this one by a real one for the same address. */
  open(login: Login): Directory | Promise<Directory>;
  /** Puts an organisation's statement where the directory finds it; without this `statement` is only asked where there is none. */
  vouch?(account: string, statement: Uint8Array): Promise<void>;
}

/** What a case works with: an account of its own. */
interface Context {
  readonly account: string;
  open(device: number, account?: string): Promise<Directory>;
  readonly vouch: DirectoryConformanceSetup['vouch'];
}

interface DirectoryCase {
  readonly name: string;
  run(context: Context): Promise<void>;
}

const ACCOUNT_KEY_BYTES = 1984;
const ENTRY_BYTES = 1700;

/** `lengthBytes` that depend on `seed` and on nothing else. */
function fill(seed: string, lengthBytes: number): Uint8Array {
  let state = 1;
  for (let i = 0; i < seed.length; i++) state = (state * 31 + seed.charCodeAt(i)) % 65_521;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = (state * 75 + 74) % 65_537;
    return state & 0xff;
  });
}

/** Keys of one device; `version` changes all but the account key, `batch` names its batch and counts its entries. */
function keys({ account, device }: Address, version = 1, batch?: { id: string; count: number }): DeviceKeys {
  const name = `${account} ${device}`;
  return {
    address: { account, device },
    identity: concat(fill(account, ACCOUNT_KEY_BYTES), fill(`${name} identity ${version}`, 2_100)),
    signedSet: fill(`${name} set ${version}`, 5_000),
    ...(batch && { batch: { id: batch.id, head: fill(`${name} head ${batch.id}`, 3_500), entries: entriesOf(name, batch) } }),
  };
}

function entriesOf(name: string, batch: { id: string; count: number }): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, i) => concat(u32(i), fill(`${name} ${batch.id} entry ${i}`, ENTRY_BYTES - 4)));
}

/** The bundle of one device, which must be there exactly once. */
function bundleOf(bundles: readonly BundleBytes[], device: number): BundleBytes {
  const found = bundles.filter(({ address }) => address.device === device);
  assertSame(found.length, 1, `bundles of device ${device}`);
  return found[0]!;
}

/** Throws unless the bundle carries what was published. */
function assertBundle(bundle: BundleBytes, published: DeviceKeys, what: string): void {
  assertSame([bundle.address.account, bundle.address.device], [published.address.account, published.address.device], `${what}: address`);
  assertBytes(bundle.identity, published.identity, `${what}: identity`);
  assertBytes(bundle.signedSet, published.signedSet, `${what}: signed set`);
}

/** Takes one-time prekeys of device 1 until none is left; each must belong to one of `published`, with its head, and come once. */
async function takeAll(directory: Directory, account: string, published: readonly DeviceKeys[]): Promise<number> {
  const taken = new Set<string>();
  for (;;) {
    const { oneTime } = bundleOf(await directory.fetch(account), 1);
    if (oneTime === undefined) return taken.size;
    const id = toHex(oneTime.entry);
    assert(!taken.has(id), 'a one-time prekey was handed out twice');
    const batch = published.find(({ batch }) => batch?.entries.some((entry) => toHex(entry) === id))?.batch;
    assert(batch !== undefined, 'a one-time prekey was never published');
    assertBytes(oneTime.head, batch.head, 'the head of a one-time prekey');
    taken.add(id);
  }
}

/** The drop box of a directory; `undefined` if it has none. Half a one is a failure. */
async function dropBox(open: Context['open'], account?: string): Promise<Required<Pick<Directory, 'leave' | 'pickUp'>> | undefined> {
  const directory = await open(1, account);
  const { leave, pickUp } = directory;
  assert((leave === undefined) === (pickUp === undefined), 'a drop box has both leave and pickUp');
  if (leave === undefined || pickUp === undefined) return undefined;
  return { leave: leave.bind(directory), pickUp: pickUp.bind(directory) };
}

/** The name of a slot of one case. */
function slot(account: string, index = 1): string {
  return toHex(fill(`${account} slot ${index}`, 16));
}

const CASES: readonly DirectoryCase[] = [
  {
    name: 'knows no devices of an unknown account',
    async run({ account, open }) {
      assertSame(await (await open(1)).fetch(account), [], 'the devices of an unknown account');
    },
  },
  {
    name: 'hands out the bytes that a device published, to every device',
    async run({ account, open }) {
      const published = keys({ account, device: 1 });
      await (await open(1)).publish(published);
      for (const reader of [await open(1), await open(7, `${account}-reader`)]) {
        const bundles = await reader.fetch(account);
        assertSame(bundles.length, 1, 'devices');
        assertBundle(bundleOf(bundles, 1), published, 'a device without one-time prekeys');
        assert(bundleOf(bundles, 1).oneTime === undefined, 'a one-time prekey that was never published');
      }
    },
  },
  {
    name: 'hands out all devices of an account and none of another',
    async run({ account, open }) {
      const published = [1, 2, 3].map((device) => keys({ account, device }));
      for (const each of published) await (await open(each.address.device)).publish(each);
      const other = keys({ account: `${account}-other`, device: 1 });
      await (await open(1, `${account}-other`)).publish(other);
      const bundles = await (await open(1)).fetch(account);
      assertSame(bundles.length, 3, 'devices');
      for (const each of published) assertBundle(bundleOf(bundles, each.address.device), each, `device ${each.address.device}`);
    },
  },
  {
    name: 'replaces what a device published before',
    async run({ account, open }) {
      const directory = await open(1);
      await directory.publish(keys({ account, device: 1 }, 1));
      await directory.publish(keys({ account, device: 1 }, 2));
      const bundles = await directory.fetch(account);
      assertBundle(bundleOf(bundles, 1), keys({ account, device: 1 }, 2), 'the newer keys');
      assertSame(bundles.length, 1, 'devices');
    },
  },
  {
    name: 'T09: hands each one-time prekey out once, with its head, and then none',
    async run({ account, open }) {
      const published = keys({ account, device: 1 }, 1, { id: 'b1', count: 10 });
      await (await open(1)).publish(published);
      const reader = await open(1, `${account}-reader`);
      assertSame(await takeAll(reader, account, [published]), 10, 'one-time prekeys handed out');
      assertBundle(bundleOf(await reader.fetch(account), 1), published, 'a device whose one-time prekeys are used up');
    },
  },
  {
    name: 'hands concurrent readers different one-time prekeys',
    async run({ account, open }) {
      const published = keys({ account, device: 1 }, 1, { id: 'b1', count: 30 });
      await (await open(1)).publish(published);
      const readers = await Promise.all([2, 3, 4].map((device) => open(device, `${account}-reader`)));
      const bundles = await Promise.all(Array.from({ length: 45 }, (_, i) => readers[i % 3]!.fetch(account)));
      const taken = bundles.flatMap((each) => bundleOf(each, 1).oneTime?.entry ?? []).map(toHex);
      assertSame([taken.length, new Set(taken).size], [30, 30], 'one-time prekeys handed out, and different ones');
    },
  },
  {
    name: 'adds nothing for a batch id that it knows, not even after its prekeys were handed out',
    async run({ account, open }) {
      const directory = await open(1);
      const published = keys({ account, device: 1 }, 1, { id: 'b1', count: 4 });
      await directory.publish(published);
      await directory.publish(published);
      assertSame(await takeAll(directory, account, [published]), 4, 'one-time prekeys after publishing twice');
      await directory.publish(published);
      assertSame(await takeAll(directory, account, [published]), 0, 'one-time prekeys after publishing the used batch');
    },
  },
  {
    name: 'adds a new batch to what is left, and keeps it when keys are published without one',
    async run({ account, open }) {
      const directory = await open(1);
      const batches = ['b1', 'b2'].map((id) => keys({ account, device: 1 }, 1, { id, count: 3 }));
      for (const published of batches) await directory.publish(published);
      await directory.publish(keys({ account, device: 1 }, 2));
      assertSame(await takeAll(directory, account, batches), 6, 'one-time prekeys of two batches');
    },
  },
  {
    name: 'takes one-time prekeys of the named devices only',
    async run({ account, open }) {
      for (const device of [1, 2]) await (await open(device)).publish(keys({ account, device }, 1, { id: `b${device}`, count: 2 }));
      const reader = await open(3, `${account}-reader`);
      for (let i = 0; i < 3; i++) {
        const none = await reader.fetch(account, { take: [] });
        assertSame(none.length, 2, 'devices of a fetch that takes nothing');
        assert(
          none.every(({ oneTime }) => oneTime === undefined),
          'a fetch that takes nothing took a one-time prekey',
        );
      }
      const one = await reader.fetch(account, { take: [2, 99] });
      assert(bundleOf(one, 1).oneTime === undefined, 'a one-time prekey of a device that was not named');
      assert(bundleOf(one, 2).oneTime !== undefined, 'no one-time prekey of a device that was named');
      const all = await reader.fetch(account, { take: 'all' });
      assert(bundleOf(all, 1).oneTime !== undefined && bundleOf(all, 2).oneTime !== undefined, 'no one-time prekey of all devices');
      assert(bundleOf(await reader.fetch(account), 2).oneTime === undefined, 'one-time prekeys that were used up came again');
    },
  },
  {
    name: 'counts the one-time prekeys that are left, where it counts',
    async run({ account, open }) {
      const [directory, otherDevice] = [await open(1), await open(2)];
      if (directory.remaining === undefined) return;
      assertSame(await directory.remaining(), 0, 'one-time prekeys of a device that never published');
      await directory.publish(keys({ account, device: 1 }, 1, { id: 'b1', count: 5 }));
      await otherDevice.publish(keys({ account, device: 2 }, 1, { id: 'b2', count: 9 }));
      assertSame(await directory.remaining(), 5, 'one-time prekeys after publishing');
      await directory.fetch(account, { take: [1] });
      await directory.fetch(account, { take: [] });
      assertSame(await directory.remaining(), 4, 'one-time prekeys after one was taken');
    },
  },
  {
    name: 'T34: keeps odd account names apart',
    async run({ account, open }) {
      const odd = ['/1', ':1', '%3A1', ' ', '..', '*', '', 'é', 'É', '__proto__'].map((end) => `${account}${end}`);
      const names = [...odd, '__proto__', 'constructor', 'toString'];
      for (const name of names) assertSame((await (await open(1)).fetch(name)).length, 0, `devices of ${JSON.stringify(name)}`);
      for (const name of names) await (await open(1, name)).publish(keys({ account: name, device: 1 }));
      for (const name of names) {
        const bundles = await (await open(1)).fetch(name);
        assertSame(bundles.length, 1, `devices of ${JSON.stringify(name)}`);
        assertBundle(bundleOf(bundles, 1), keys({ account: name, device: 1 }), JSON.stringify(name));
      }
    },
  },
  {
    name: 'copies what is published and what it hands out',
    async run({ account, open }) {
      const directory = await open(1);
      const [mine, expected] = [0, 0].map(() => keys({ account, device: 1 }, 1, { id: 'b1', count: 2 })) as [DeviceKeys, DeviceKeys];
      const publishing = directory.publish(mine);
      for (const bytes of [mine.identity, mine.signedSet, mine.batch!.head, ...mine.batch!.entries]) bytes.fill(0);
      await publishing;
      const first = bundleOf(await directory.fetch(account), 1);
      assertBundle(first, expected, 'keys whose buffers were reused');
      for (const bytes of [first.identity, first.signedSet, first.oneTime!.head, first.oneTime!.entry]) bytes.fill(0);
      const second = bundleOf(await directory.fetch(account), 1);
      assertBundle(second, expected, 'keys that a reader overwrote');
      assertBytes(second.oneTime?.head, expected.batch!.head, 'a head that a reader overwrote');
    },
  },
  {
    name: 'rejects calls that were aborted before they began, with the reason',
    async run({ account, open }) {
      const directory = await open(1);
      const stop = new AbortController();
      const reason = new Error('enough');
      stop.abort(reason);
      const { signal } = stop;
      const published = rejection(() => directory.publish(keys({ account, device: 1 }), { signal }), 'an aborted publish');
      assert((await published) === reason, 'an aborted publish must reject with the reason of its signal');
      const fetched = rejection(() => directory.fetch(account, { signal }), 'an aborted fetch');
      assert((await fetched) === reason, 'an aborted fetch must reject with the reason of its signal');
      assertSame(await directory.fetch(account), [], 'what an aborted publish left');
    },
  },
  {
    name: 'T34: hands out the statement about an account, and no other, where it has statements',
    async run({ account, open, vouch }) {
      const directory = await open(1);
      if (directory.statement === undefined) return;
      const names = [account, `${account}/../x`, `${account}%2F`, `${account}:`, '..', '.', '__proto__', 'toString'];
      for (const name of names) assertSame(await directory.statement(name), undefined, `the statement about ${JSON.stringify(name)}`);
      const stop = new AbortController();
      const reason = new Error('enough');
      stop.abort(reason);
      const aborted = await rejection(() => directory.statement!(account, stop), 'an aborted statement');
      assert(aborted === reason, 'an aborted statement must reject with the reason of its signal');
      if (vouch === undefined) return;
      for (const name of names) await vouch(name, fill(`${name} statement`, 16_422));
      for (let i = 0; i < 2; i++) {
        for (const name of names) {
          const found = await directory.statement(name);
          assertBytes(found, fill(`${name} statement`, 16_422), `the statement about ${JSON.stringify(name)}`);
          found.fill(0);
        }
      }
      await vouch(account, fill('newer', 16_300));
      assertBytes(await directory.statement(account), fill('newer', 16_300), 'a statement that was replaced');
    },
  },
  {
    name: 'T31: keeps what is left in a slot for whoever asks, where it has a drop box',
    async run({ account, open }) {
      const [box, other] = [await dropBox(open), await dropBox(open, `${account}-other`)];
      if (box === undefined || other === undefined) return;
      const [short, long] = [fill(account, 1), fill(`${account} long`, 65_536)];
      const given = new Uint8Array(short);
      const leaving = box.leave(slot(account, 1), given);
      given.fill(0);
      await leaving;
      await other.leave(slot(account, 2), long);
      for (const reader of [other, box, other]) {
        const found = await reader.pickUp(slot(account, 1));
        assertBytes(found, short, 'a slot of one byte');
        found.fill(0);
        assertBytes(await reader.pickUp(slot(account, 2)), long, 'a slot of 64 KiB');
      }
    },
  },
  {
    name: 'T31: lets the first writer of a slot win, and take its time again',
    async run({ account, open }) {
      const [box, other] = [await dropBox(open), await dropBox(open, `${account}-other`)];
      if (box === undefined || other === undefined) return;
      const [first, second] = [fill(`${account} first`, 3_000), fill(`${account} second`, 3_000)];
      await box.leave(slot(account), first);
      await assertRejects(() => other.leave(slot(account), second), 'ERR_REJECTED', 'a second write of a slot');
      await assertRejects(() => box.leave(slot(account), first.subarray(1)), 'ERR_REJECTED', 'a shorter write of a slot');
      await other.leave(slot(account), first);
      assertBytes(await other.pickUp(slot(account)), first, 'a slot that was written twice');
    },
  },
  {
    name: 'answers who waits for a slot once it is filled, all of them',
    async run({ account, open }) {
      const [box, other] = [await dropBox(open), await dropBox(open, `${account}-other`)];
      if (box === undefined || other === undefined) return;
      const waiting = [box.pickUp(slot(account)), other.pickUp(slot(account))];
      await box.leave(slot(account, 2), fill('elsewhere', 10));
      await other.leave(slot(account), fill(account, 500));
      const patient = Promise.all(waiting.map(async (each) => (await each) ?? (await box.pickUp(slot(account)))));
      for (const found of await within(patient, 10_000, 'a slot that was filled')) assertBytes(found, fill(account, 500), 'a slot');
    },
  },
  {
    name: 'refuses slots of other names and lengths',
    async run({ account, open }) {
      const box = await dropBox(open);
      if (box === undefined) return;
      const names = [
        '',
        slot(account).slice(1),
        `${slot(account)}0`,
        slot(account).replace(/./, 'G'),
        slot(account).replace(/./, 'A'),
        '__proto__',
      ];
      for (const name of names) {
        await assertRejects(() => box.leave(name, fill('x', 1)), 'ERR_ARGUMENT', `a slot called ${JSON.stringify(name)}`);
        await assertRejects(() => box.pickUp(name), 'ERR_ARGUMENT', `a slot called ${JSON.stringify(name)}`);
      }
      for (const length of [0, 65_537]) {
        await assertRejects(() => box.leave(slot(account), new Uint8Array(length)), 'ERR_LENGTH', `a slot of ${length} bytes`);
      }
    },
  },
  {
    name: 'stops waiting for a slot when it is aborted, with the reason',
    async run({ account, open }) {
      const box = await dropBox(open);
      if (box === undefined) return;
      const reason = new Error('enough');
      const [before, during] = [new AbortController(), new AbortController()];
      before.abort(reason);
      const { signal } = before;
      assert((await rejection(() => box.leave(slot(account), fill('x', 1), { signal }), 'an aborted leave')) === reason, 'not the reason');
      assert((await rejection(() => box.pickUp(slot(account), { signal }), 'an aborted pickUp')) === reason, 'not the reason');
      const waiting = rejection(() => box.pickUp(slot(account), during), 'a pickUp that is aborted');
      during.abort(reason);
      assert((await within(waiting, 10_000, 'an abort')) === reason, 'a pickUp that was aborted must reject with the reason of its signal');
    },
  },
];

/**
 * The cases that every `Directory` must pass: bytes, devices, one-time prekeys, batches, copies. Each case uses accounts named after
 * it, so run the suite against a service that no earlier run has used. A failing case rejects with an `Error` that says what was
 * expected. Needs no test runner.
 *
 * @example
 * for (const c of directoryConformance({ open: (login) => myDirectory(login) })) test(c.name, c.run);
 */
export function directoryConformance(setup: DirectoryConformanceSetup): readonly ConformanceCase[] {
  return CASES.map(({ name, run }, i) => {
    const account = `directory-${i + 1}`;
    return {
      name,
      run: () => run({ account, vouch: setup.vouch, open: async (device, of = account) => setup.open(testLogin(of, device)) }),
    };
  });
}
