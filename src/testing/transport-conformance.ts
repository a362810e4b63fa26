/**
 * The contract of the `Transport` port as runnable cases, for anyone's transport. Knows the port and nothing of what envelopes hold.
 */

import { equal } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import type { Delivery, Login, Transport } from '../transport/port.js';
import { assert, assertBytes, assertRejects, assertSame, rejection, within } from './assert.js';
import type { ConformanceCase } from './conformance.js';
import { testLogin } from './login.js';
import { again, envelope, envelopes, type Inbox, listen, type TransportCase } from './transport-case.js';

/** How the suite gets at the transport under test. */
export interface TransportConformanceSetup {
  /**
   * Connects a device. Connecting the same address again, after the earlier transport was closed, finds its mailbox again. The login
   * proves nothing: where the service verifies proofs, make the device known and connect with a login of your own for that address.
   */
  connect(login: Login): Transport | Promise<Transport>;
  /** Cuts every connection, as a failing network does. Without it, the case about it is left out. */
  sever?(): Promise<void>;
  /** How long a case waits for one thing to happen before it fails. Default 5,000 ms. */
  readonly patienceMs?: number | undefined;
}

const LEAST_MAX_BYTES = 24 * 1024;

const CASES: readonly TransportCase[] = [
  {
    name: 'bears envelopes of at least 24 KiB',
    async run({ alice, connect }) {
      const { limits } = await connect(alice);
      assert(limits.maxBytes >= LEAST_MAX_BYTES, `maxBytes must be at least ${LEAST_MAX_BYTES}, got ${limits.maxBytes}`);
    },
  },
  {
    name: 'delivers to a device that listens',
    async run({ alice, bob, connect, listen }) {
      const [from, to] = [await connect(alice), await connect(bob)];
      const inbox = listen(to);
      const [delivery] = await Promise.all([inbox.next('an envelope'), from.send(bob.address, envelope(1))]);
      assertBytes(delivery.bytes, envelope(1), 'the envelope');
      assert(typeof delivery.id === 'string' && delivery.id !== '', 'a delivery has an id');
      await delivery.ack();
    },
  },
  {
    name: 'keeps accepted envelopes for a device that is away',
    async run({ alice, bob, connect, listen }) {
      await (await connect(bob)).close();
      const from = await connect(alice);
      for (const bytes of envelopes(1, 5)) await from.send(bob.address, bytes);
      await from.close();
      await listen(await connect(bob)).takeAll(envelopes(1, 5));
    },
  },
  {
    name: 'never drops an envelope silently for a device that it does not know',
    async run({ alice, stranger, connect, listen }) {
      const from = await connect(alice);
      const refused = await from.send(stranger.address, envelope(1)).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused === undefined) await listen(await connect(stranger)).takeAll([envelope(1)]);
      else assert(isCyphrError(refused), 'a refusal is a typed error');
    },
  },
  {
    name: 'delivers all of many concurrent sends, both ways',
    async run({ alice, bob, connect, listen }) {
      const [first, second] = [await connect(alice), await connect(bob)];
      const toBob = envelopes(1, 100);
      const toAlice = envelopes(1_001, 100);
      const inboxes = [listen(first).takeAll(toAlice), listen(second).takeAll(toBob)];
      await Promise.all([
        ...inboxes,
        ...toBob.map((bytes) => first.send(bob.address, bytes)),
        ...toAlice.map((bytes) => second.send(alice.address, bytes)),
      ]);
    },
  },
  {
    name: 'gives every waiting envelope an id of its own',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const inbox = listen(await connect(bob));
      const content = new Map<string, Uint8Array>();
      const expected = envelopes(1, 20);
      for (const bytes of expected) await from.send(bob.address, bytes);
      while (new Set([...content.values()].map((bytes) => bytes[3])).size < expected.length) {
        const { id, bytes } = await inbox.next('an envelope');
        const known = content.get(id);
        assert(known === undefined || equal(known, bytes), 'two envelopes share an id');
        content.set(id, bytes);
      }
    },
  },
  {
    name: 'delivers again what was not acknowledged, and not what was',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const to = await connect(bob);
      const first = listen(to);
      await from.send(bob.address, envelope(1));
      await from.send(bob.address, envelope(2));
      const seen = new Map<number, Delivery>();
      while (seen.size < 2) {
        const delivery = await first.next('an envelope');
        seen.set(delivery.bytes[3]!, delivery);
      }
      await seen.get(1)!.ack();
      await first.stop();
      await from.send(bob.address, envelope(3));
      const numbers = await numbersUntil(listen(to), [2, 3]);
      assert(!numbers.includes(1), 'an acknowledged envelope came again');
    },
  },
  {
    name: 'delivers again to a new connection, under the same id',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const to = await connect(bob);
      const first = listen(to);
      await from.send(bob.address, envelope(1));
      const delivered = await first.next('an envelope');
      await to.close();
      const again = await listen(await connect(bob)).next('the envelope that was not acknowledged');
      assertBytes(again.bytes, delivered.bytes, 'the envelope that came again');
      assertSame(again.id, delivered.id, 'its id');
      await again.ack();
    },
  },
  {
    name: 'takes an acknowledgement twice',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const inbox = listen(await connect(bob));
      await from.send(bob.address, envelope(1));
      const delivery = await inbox.next('an envelope');
      await delivery.ack();
      await delivery.ack();
    },
  },
  {
    name: 'takes the same bytes twice',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const inbox = listen(await connect(bob));
      await from.send(bob.address, envelope(1));
      await from.send(bob.address, envelope(1));
      await inbox.takeAll([envelope(1)]);
    },
  },
  {
    name: 'delivers to the addressed device only',
    async run({ alice, bob, bobsOther, connect, listen }) {
      const from = await connect(alice);
      const inboxes = [listen(await connect(bob)), listen(await connect(bobsOther))];
      await from.send(bob.address, envelope(1));
      await from.send(bobsOther.address, envelope(2));
      await from.send(bob.address, envelope(3));
      await from.send(bobsOther.address, envelope(4));
      await Promise.all([inboxes[0]!.takeAll([envelope(1), envelope(3)]), inboxes[1]!.takeAll([envelope(2), envelope(4)])]);
    },
  },
  {
    name: 'carries an envelope of maxBytes and refuses a longer one',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const inbox = listen(await connect(bob));
      const { maxBytes } = from.limits;
      const error = await rejection(() => from.send(bob.address, envelope(1, maxBytes + 1)), 'an envelope that is too long');
      assert(isCyphrError(error), 'a refusal is a typed error');
      await from.send(bob.address, envelope(2, maxBytes));
      await inbox.takeAll([envelope(2, maxBytes)]);
    },
  },
  {
    name: 'copies the envelope as send is called',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const inbox = listen(await connect(bob));
      const bytes = envelope(1);
      const sent = from.send(bob.address, bytes);
      bytes.fill(0);
      await sent;
      await inbox.takeAll([envelope(1)]);
    },
  },
  {
    name: 'copies the bytes that it delivers',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const to = await connect(bob);
      const first = listen(to);
      await from.send(bob.address, envelope(1));
      (await first.next('an envelope')).bytes.fill(0);
      await first.stop();
      await listen(to).takeAll([envelope(1)]);
    },
  },
  {
    name: 'says that it is drained only after everything that waited',
    async run({ alice, bob, connect, listen }) {
      await (await connect(bob)).close();
      const from = await connect(alice);
      for (const bytes of envelopes(1, 5)) await from.send(bob.address, bytes);
      let drained = false;
      const inbox = listen(await connect(bob), {
        onDrained: () => {
          drained = true;
        },
      });
      const seen = new Set<number>();
      while (seen.size < 5) {
        assert(!drained, `drained after ${seen.size} of 5 envelopes`);
        seen.add((await inbox.next('an envelope')).bytes[3]!);
      }
    },
  },
  {
    name: 'ends deliveries that are aborted while they wait, and can begin again',
    async run({ alice, bob, connect, listen }) {
      const from = await connect(alice);
      const to = await connect(bob);
      const stop = new AbortController();
      const waiting = listen(to, { signal: stop.signal }).step('the end of aborted deliveries');
      stop.abort(new Error('enough'));
      const ended = await waiting;
      assert(ended === 'ended' || ended === 'threw', 'aborted deliveries must end');
      const before = await listen(to, { signal: stop.signal }).step('the end of deliveries with an aborted signal');
      assert(before === 'ended' || before === 'threw', 'deliveries with an aborted signal must end');
      await from.send(bob.address, envelope(1));
      await listen(to).takeAll([envelope(1)]);
    },
  },
  {
    name: 'rejects a send that was aborted before it began, with the reason',
    async run({ alice, bob, connect }) {
      const from = await connect(alice);
      await connect(bob);
      const stop = new AbortController();
      const reason = new Error('enough');
      stop.abort(reason);
      const error = await rejection(() => from.send(bob.address, envelope(1), { signal: stop.signal }), 'an aborted send');
      assert(error === reason, 'an aborted send must reject with the reason of its signal');
    },
  },
  {
    name: 'closes once, twice, ends its deliveries, and rejects later calls with ERR_CLOSED',
    async run({ alice, bob, connect, listen, settled }) {
      await connect(bob);
      const transport = await connect(alice);
      const waiting = listen(transport).step('the end of deliveries after close');
      const [ended] = await Promise.all([waiting, settled(transport.close(), 'close')]);
      await settled(transport.close(), 'a second close');
      assert(ended === 'ended' || ended === 'threw', 'deliveries must end with close');
      await assertRejects(() => transport.send(bob.address, envelope(1)), 'ERR_CLOSED', 'send after close');
      const again = await listen(transport).step('deliveries after close');
      assert(again === 'ended' || again === 'threw', 'deliveries after close must end');
    },
  },
  {
    name: 'loses nothing that was accepted when the network fails, and works again after it',
    needsSever: true,
    async run({ alice, bob, connect, listen, sever, again }) {
      const from = await connect(alice);
      const to = await connect(bob);
      const first = listen(to);
      await from.send(bob.address, envelope(1));
      await first.next('an envelope');
      await sever!();
      for (;;) if (typeof (await first.step('the end of severed deliveries')) === 'string') break;
      await again(() => from.send(bob.address, envelope(2)));
      const numbers = new Set<number>();
      await again(async () => {
        for (const inbox = listen(to); numbers.size < 2; ) {
          const delivery = await inbox.next('an envelope after the network failed');
          numbers.add(delivery.bytes[3]!);
          await delivery.ack();
        }
      });
      assertSame([...numbers].sort(), [1, 2], 'the envelopes accepted before and after');
    },
  },
];

/** Takes deliveries until each number of `wanted` came; the numbers of all that came. */
async function numbersUntil(inbox: Inbox, wanted: readonly number[]): Promise<number[]> {
  const numbers: number[] = [];
  while (!wanted.every((number) => numbers.includes(number))) numbers.push((await inbox.next('an envelope')).bytes[3]!);
  return numbers;
}

/**
 * The cases that every `Transport` must pass: acceptance, redelivery, addressing, copies, aborting, closing, failing networks. Each case
 * uses accounts named after it, so run the suite against a service that no earlier run has used. A failing case rejects with an `Error`
 * that says what was expected. Needs no test runner.
 *
 * @example
 * for (const c of transportConformance({ connect: (login) => myTransport(login) })) test(c.name, c.run);
 */
export function transportConformance(setup: TransportConformanceSetup): readonly ConformanceCase[] {
  return CASES.map((transportCase, i) => ({ transportCase, label: `transport-${i + 1}` }))
    .filter(({ transportCase }) => transportCase.needsSever !== true || setup.sever !== undefined)
    .map(({ transportCase, label }) => ({ name: transportCase.name, run: () => runCase(setup, transportCase, label) }));
}

async function runCase(setup: TransportConformanceSetup, transportCase: TransportCase, label: string): Promise<void> {
  const patienceMs = setup.patienceMs ?? 5_000;
  const opened: Transport[] = [];
  try {
    await transportCase.run({
      alice: testLogin(`${label}-alice`, 1),
      bob: testLogin(`${label}-bob`, 1),
      bobsOther: testLogin(`${label}-bob`, 2),
      stranger: testLogin(`${label}-stranger`, 1),
      sever: setup.sever && (() => setup.sever!()),
      async connect(login) {
        const transport = await setup.connect(login);
        opened.push(transport);
        return transport;
      },
      listen: (transport, options) => listen(transport, patienceMs, options),
      settled: (promise, what) => within(promise, patienceMs, what),
      again: (call) => again(call, patienceMs),
    });
  } finally {
    for (const transport of opened) await transport.close();
  }
}
