/** What a code is good for, and what a drop box can do with what lies in it. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { life } from '../../src/client/life.js';
import { linking } from '../../src/client/linking.js';
import { TransportError } from '../../src/errors.js';
import { type DeviceSecrets, generateDevice, generateDeviceKeys, verifyDeviceList } from '../../src/identity/index.js';
import { openLinkChallenge, parseLinkCode, requestLink } from '../../src/identity/linking.js';
import { linkLimits } from '../../src/limits.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Directory, Login, Network } from '../../src/transport/port.js';
import { introduced, joining } from '../helpers/devices.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { type Person, person, START } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';

/** Version, 32 bytes drawn, tag: nothing else in a drop box is as long. */
const CHALLENGE_BYTES = 49;

type Leave = NonNullable<Directory['leave']>;
type Over = (inner: Directory) => Partial<Directory>;

/** `over`: what the drop box does in another way. */
const world = async (over: Over = () => ({})) => {
  const inner = memoryNetwork();
  const directory = (login: Login): Directory => {
    const honest = inner.directory(login);
    return { ...honest, ...over(honest) };
  };
  const network: Network = { ...inner, directory };
  const clock = { ms: START };
  return { network, clock, alice: await person('alice', network, clock) };
};
/** How the drop box takes a challenge. */
const challenged =
  (leaving: (slot: string, challenge: Uint8Array, leave: Leave) => Promise<void>): Over =>
  ({ leave }) => ({
    leave: (slot, bytes, options) =>
      bytes.length === CHALLENGE_BYTES ? leaving(slot, bytes, (...call) => leave!(...call)) : leave!(slot, bytes, options),
  });
/** Where the drop box does not answer; `calls` are the signals of what it was asked there. */
const mute = (isMute: (slot: string, call: 'leave' | 'pickUp') => boolean): { readonly calls: (AbortSignal | undefined)[]; over: Over } => {
  const calls: (AbortSignal | undefined)[] = [];
  const never = (signal?: AbortSignal): Promise<never> => {
    calls.push(signal);
    return new Promise(() => {});
  };
  const over: Over = ({ leave, pickUp }) => ({
    leave: (slot, bytes, options) => (isMute(slot, 'leave') ? never(options?.signal) : leave!(slot, bytes, options)),
    pickUp: (slot, options) => (isMute(slot, 'pickUp') ? never(options?.signal) : pickUp!(slot, options)),
  });
  return { calls, over };
};
/** From now on time passes by `vi.advanceTimersByTimeAsync` alone. */
const holdTimers = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
afterEach(() => {
  vi.useRealTimers();
});
const coded = (code: string) => expect.objectContaining({ code });
const closeAll = (...people: readonly Person[]) => Promise.all(people.map(({ client }) => client.close()));

describe('T31: codes', () => {
  test('a code is good for one request', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'first'));
    await expect(joining('alice', network, clock, link.qr, 'second').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    expect(asked.confirmation).toBe(joined.confirmation);
    await asked.confirm();
    await (await joined.client()).close();
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(2);
    await expect(joining('alice', network, clock, link.qr, 'replayed').join).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await closeAll(alice);
  });

  test('a request whose acknowledgement was lost is left again as it is, and uses the code up for nobody', async () => {
    let requestSlot: string | undefined;
    const requests: Uint8Array[] = [];
    const over: Over = ({ leave }) => ({
      async leave(slot, bytes, options) {
        await leave!(slot, bytes, options);
        if (slot !== requestSlot) return;
        requests.push(bytes);
        if (requests.length === 1) throw new TransportError('ERR_OFFLINE', 'no answer');
      },
    });
    const { network, clock, alice } = await world(over);
    const link = await alice.client.devices.link();
    requestSlot = parseLinkCode(link.qr, 'alice').requestSlot;
    holdTimers();
    const both = introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    for (let second = 0; second < 20; second++) await vi.advanceTimersByTimeAsync(1_000);
    const { joined, asked } = await both;
    vi.useRealTimers();
    expect(requests).toEqual([requests[0], requests[0]]);
    expect(asked.confirmation).toBe(joined.confirmation);
    await asked.confirm();
    await (await joined.client()).close();
    await closeAll(alice);
  });

  test('a request is answered once: the same answer again is the same promise, the other one is an error that says so', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'confirmed'));
    const confirmed = asked.confirm();
    expect(asked.confirm()).toBe(confirmed);
    const twice = { name: 'UsageError', code: 'ERR_ARGUMENT', field: 'request', message: expect.stringContaining('confirmed') };
    await expect(asked.reject()).rejects.toMatchObject(twice);
    await confirmed;
    expect(asked.confirm()).toBe(confirmed);
    await expect(asked.reject()).rejects.toMatchObject(twice);
    await (await joined.client()).close();
    expect((await alice.client.devices.list()).length).toBe(2);

    const other = await alice.client.devices.link();
    const refused = await introduced(other, joining('alice', network, clock, other.qr, 'rejected'));
    const client = refused.joined.client();
    const rejected = refused.asked.reject();
    expect(refused.asked.reject()).toBe(rejected);
    await rejected;
    await expect(client).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(refused.asked.confirm()).rejects.toMatchObject({ code: 'ERR_ARGUMENT', message: expect.stringContaining('rejected') });
    expect((await alice.client.devices.list()).length).toBe(2);
    await closeAll(alice);
  });

  test('an answer that failed can be given again', async () => {
    const network = glassNetwork();
    const clock = { ms: START };
    const alice = await person('alice', network, clock);
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'again'));
    network.directoryDown = true;
    await expect(asked.reject()).rejects.toThrow(coded('ERR_OFFLINE'));
    network.directoryDown = false;
    await asked.confirm();
    await (await joined.client()).close();
    await closeAll(alice);
  });

  test('a code is good for ten minutes, also one that was asked with', async () => {
    const { network, clock, alice } = await world();
    const late = await alice.client.devices.link();
    expect(late.expiresAtMs).toBe(START + linkLimits.codeMs);
    const { joined, asked } = await introduced(late, joining('alice', network, clock, late.qr, 'late'));
    clock.ms = late.expiresAtMs;
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(late.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    expect(joined.confirmation).toBe(asked.confirmation);
    await closeAll(alice);
  });

  test('a clock that is set back makes no code good for longer', async () => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    clock.ms = START - 1;
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    clock.ms -= 10 * 86_400_000;
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
  });

  test('a code is over ten minutes after it was made, also where the clock stands still', async () => {
    const { network, clock, alice } = await world();
    holdTimers();
    const link = await alice.client.devices.link();
    const { asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    await vi.advanceTimersByTimeAsync(linkLimits.codeMs - 1);
    expect((await link.request()).confirmation).toBe(asked.confirmation);
    await vi.advanceTimersByTimeAsync(1);
    await expect(asked.confirm()).rejects.toThrow(coded('ERR_TIMEOUT'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    // A code that is shown later has its own ten minutes.
    const later = await alice.client.devices.link();
    const again = await introduced(later, joining('alice', network, clock, later.qr, 'again'));
    await again.asked.confirm();
    expect((await alice.client.devices.list()).length).toBe(2);
    vi.useRealTimers();
    await closeAll(alice);
  });

  test.each(['request', 'challenge'] as const)(
    'a request ends with its code, where the drop box does not answer about the %s',
    async (part) => {
      let requestSlot = '';
      const { calls, over } = mute((slot, call) =>
        part === 'request' ? slot === requestSlot && call === 'pickUp' : requestSlot !== '' && slot !== requestSlot && call === 'leave',
      );
      const { network, clock, alice } = await world(over);
      holdTimers();
      const link = await alice.client.devices.link();
      ({ requestSlot } = parseLinkCode(link.qr, 'alice'));
      const stop = new AbortController();
      const { join } = joining('alice', network, clock, link.qr, 'phone', stop);
      join.catch(() => {});
      const outcome = link.request().then(
        () => 'asked',
        (error) => error.code,
      );
      await vi.waitFor(() => expect(calls.length).toBe(1), { timeout: 20_000 });
      await vi.advanceTimersByTimeAsync(linkLimits.codeMs);
      expect(await outcome).toBe('ERR_TIMEOUT');
      expect(calls.map((signal) => signal?.aborted)).toEqual([true]);
      stop.abort();
      vi.useRealTimers();
      await closeAll(alice);
    },
  );

  test('a code that the drop box does not take is none after ten minutes', async () => {
    const { calls, over } = mute((_, call) => call === 'leave');
    const { alice } = await world(over);
    holdTimers();
    const outcome = alice.client.devices.link().catch((error) => error.code);
    await vi.waitFor(() => expect(calls.length).toBe(1), { timeout: 20_000 });
    await vi.advanceTimersByTimeAsync(linkLimits.codeMs);
    expect(await outcome).toBe('ERR_TIMEOUT');
    expect(calls.map((signal) => signal?.aborted)).toEqual([true]);
    vi.useRealTimers();
    await closeAll(alice);
  });

  test('a new code ends the request of the one before at once, and a client that closes does', async () => {
    let isMute = false;
    const { calls, over } = mute((_, call) => isMute && call === 'pickUp');
    const { alice } = await world(over);
    const first = await alice.client.devices.link();
    isMute = true;
    const waiting = first.request();
    waiting.catch(() => {});
    await vi.waitFor(() => expect(calls.length).toBe(1), { timeout: 20_000 });
    const second = await alice.client.devices.link();
    await expect(waiting).rejects.toThrow(coded('ERR_TIMEOUT'));
    const further = second.request();
    further.catch(() => {});
    await vi.waitFor(() => expect(calls.length).toBe(2), { timeout: 20_000 });
    await closeAll(alice);
    await expect(further).rejects.toThrow(coded('ERR_CLOSED'));
    expect(calls.map((signal) => signal?.aborted)).toEqual([true, true]);
  });

  test.each(['offer', 'request', 'challenge', 'answer'] as const)(
    'a new device waits ten minutes for a drop box that does not answer about the %s',
    async (part) => {
      let slots: ReturnType<typeof parseLinkCode> | undefined;
      let isAsked = false;
      const partOf = (slot: string, call: string): string => {
        if (slot === slots?.offerSlot) return 'offer';
        if (slot === slots?.requestSlot) return call === 'leave' ? 'request' : '';
        return call === 'leave' || slots === undefined ? '' : isAsked ? 'answer' : 'challenge';
      };
      const { calls, over } = mute((slot, call) => partOf(slot, call) === part);
      const { network, clock, alice } = await world(over);
      const link = await alice.client.devices.link();
      slots = parseLinkCode(link.qr, 'alice');
      holdTimers();
      const request = link.request();
      request.catch(() => {});
      const { join, store } = joining('alice', network, clock, link.qr, 'phone');
      const outcome = join
        .then((joined) => {
          isAsked = true;
          return joined.client();
        })
        .catch((error) => error.code);
      await vi.waitFor(() => expect(calls.length).toBe(1), { timeout: 20_000 });
      await vi.advanceTimersByTimeAsync(linkLimits.codeMs);
      expect(await outcome).toBe('ERR_TIMEOUT');
      expect(calls.map((signal) => signal?.aborted)).toEqual([true]);
      expect(store.commits).toBe(0);
      vi.useRealTimers();
      await closeAll(alice);
    },
  );

  test('a new code ends the one before, and a client that closes ends them all', async () => {
    const { network, clock, alice } = await world();
    const [first, second] = [await alice.client.devices.link(), await alice.client.devices.link()];
    await expect(first.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    const waiting = second.request();
    waiting.catch(() => {});
    await alice.client.close();
    await expect(waiting).rejects.toThrow(coded('ERR_CLOSED'));
    const again = await person('alice', network, clock, { store: alice.store, seed: 'again' });
    // The offer still lies there; nobody takes the request.
    const [stop, reason] = [new AbortController(), new Error('enough')];
    const { join } = joining('alice', network, clock, second.qr, 'x', stop);
    const { requestSlot } = parseLinkCode(second.qr, 'alice');
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    expect(await anyone.pickUp!(requestSlot)).toBeDefined();
    stop.abort(reason);
    await expect(join).rejects.toBe(reason);
    expect((await again.client.devices.list()).length).toBe(1);
    await closeAll(again);
  });

  test.each([0, 2, 4, 8])('a new code, %i microtasks after a confirmation, comes before it or spoils nothing', async (ticks) => {
    const { network, clock, alice } = await world();
    const link = await alice.client.devices.link();
    const { joined, asked } = await introduced(link, joining('alice', network, clock, link.qr, 'phone'));
    const confirmed = asked.confirm().then(
      () => true,
      (error) => expect(error).toEqual(coded('ERR_TIMEOUT')),
    );
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    await alice.client.devices.link();
    if ((await confirmed) === true) await (await joined.client()).close();
    expect((await alice.client.devices.list()).length).toBe((await confirmed) === true ? 2 : 1);
    await closeAll(alice);
  });

  test('garbage in the place of a request uses the code up, without a device', async () => {
    const { network, alice } = await world();
    const link = await alice.client.devices.link();
    const { requestSlot } = parseLinkCode(link.qr, 'alice');
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    await anyone.leave!(requestSlot, new Uint8Array(3_200).fill(7));
    await expect(link.request()).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
  });

  test.each(['swapped', 'put there first'] as const)('a challenge that the relay has %s is refused, and nobody is linked', async (how) => {
    const forged = new Uint8Array(CHALLENGE_BYTES).fill(7);
    // It knows where the challenge will lie, as it sees the new device ask for it.
    const { network, clock, alice } = await world(
      challenged(async (slot, challenge, leave) => {
        await leave(slot, forged);
        if (how === 'put there first') await leave(slot, challenge);
      }),
    );
    const link = await alice.client.devices.link();
    const { join, store } = joining('alice', network, clock, link.qr, 'phone');
    const request = link.request();
    request.catch(() => {});
    await expect(join).rejects.toThrow(coded('ERR_DECRYPT'));
    expect(store.commits).toBe(0);
    // Where it is told that its own challenge is not the one that lies there, the old device is done with the code, too.
    if (how === 'put there first') await expect(request).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
    else await (await request).reject();
    await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    expect((await alice.client.devices.list()).length).toBe(1);
    await closeAll(alice);
  });

  test('a challenge of another linking of the same two devices is refused', async () => {
    const challenges: Uint8Array[] = [];
    const { network, clock, alice } = await world(
      challenged(async (slot, challenge, leave) => {
        challenges.push(challenge);
        await leave(slot, challenges[0]!);
      }),
    );
    const former = await alice.client.devices.link();
    const { joined, asked } = await introduced(former, joining('alice', network, clock, former.qr, 'phone'));
    expect(joined.confirmation).toBe(asked.confirmation);
    await asked.reject();
    const link = await alice.client.devices.link();
    const { join } = joining('alice', network, clock, link.qr, 'phone');
    const later = await link.request();
    await expect(join).rejects.toThrow(coded('ERR_DECRYPT'));
    expect(challenges.length).toBe(2);
    expect(later.confirmation).not.toBe(asked.confirmation);
    await closeAll(alice);
  });

  test('a code takes one request and tells its r once, whatever the drop box shows later, the clock says and its person asks again', async () => {
    let requestSlot = '';
    const requests: Uint8Array[] = [];
    const told: Uint8Array[] = [];
    let shown = 0;
    const { network, clock, alice } = await world((inner) => ({
      pickUp: async (slot, options) => (slot === requestSlot ? requests[shown++] : inner.pickUp!(slot, options)),
      async leave(slot, bytes, options) {
        if (bytes.length === CHALLENGE_BYTES) told.push(bytes);
        if (told.length === 1) throw new Error('the answer was lost');
        return inner.leave!(slot, bytes, options);
      },
    }));
    const link = await alice.client.devices.link();
    const code = parseLinkCode(link.qr, 'alice');
    requestSlot = code.requestSlot;
    const anyone = network.directory({ address: { account: 'mallory', device: 1 }, prove: () => Promise.reject(new Error('no login')) });
    const offer = (await anyone.pickUp!(code.offerSlot))!;
    const asked = ['first', 'rival'].map((seed) => {
      const { device, deviceKey, dhKey } = generateDeviceKeys(testRng(seed));
      return requestLink(code, offer, 'alice', { device, deviceKey: deviceKey.publicKey, dhKey: dhKey.publicKey }, testRng(`${seed} asks`));
    });
    requests.push(...asked.map(({ request }) => request));

    const [stop, reason] = [new AbortController(), new Error('enough')];
    const waiting = link.request(stop);
    waiting.catch(() => {});
    await vi.waitFor(() => expect(told.length).toBe(1), { timeout: 20_000 });
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    for (const ms of [START + linkLimits.codeMs, START - 1]) {
      clock.ms = ms;
      await expect(link.request()).rejects.toThrow(coded('ERR_TIMEOUT'));
    }
    clock.ms = START;
    expect((await link.request()).confirmation).toBe(openLinkChallenge(asked[0]!, told[0]!).confirmation);
    expect([shown, told.length]).toEqual([1, 2]);
    expect(told[1]).toEqual(told[0]);
    await closeAll(alice);
  });

  test('a challenge is drawn once for a request: one whose acknowledgement was lost is left again as it is', async () => {
    const challenges: Uint8Array[] = [];
    const { network, clock, alice } = await world(
      challenged(async (slot, challenge, leave) => {
        challenges.push(challenge);
        await leave(slot, challenge);
        if (challenges.length === 1) throw new Error('the answer was lost');
      }),
    );
    const link = await alice.client.devices.link();
    const [stop, reason] = [new AbortController(), new Error('enough')];
    const first = link.request(stop);
    // The new device shows its string; the old one does not yet, and its person asks once more.
    const joined = await joining('alice', network, clock, link.qr, 'phone').join;
    stop.abort(reason);
    await expect(first).rejects.toBe(reason);
    const asked = await link.request();
    expect(asked.confirmation).toBe(joined.confirmation);
    expect(challenges.length).toBe(2);
    expect(challenges[1]).toEqual(challenges[0]);
    await asked.confirm();
    await (await joined.client()).close();
    await closeAll(alice);
  });
});

/** One device's linking alone, asked by a device with these keys. */
async function asked(made: (own: DeviceSecrets) => DeviceSecrets) {
  const rng = testRng('linking');
  const own = generateDevice('alice', rng, START);
  const box: Record<'offer' | 'request', Uint8Array> = { offer: new Uint8Array(), request: new Uint8Array() };
  const directory = {
    async leave(_slot: string, bytes: Uint8Array) {
      box.offer = bytes;
    },
    pickUp: async () => box.request,
  };
  const list = verifyDeviceList(own.deviceList, own.accountKey.publicKey);
  const ctx = { directory, rng, now: () => START, life: life(), device: () => own, ownList: () => list };
  const none = {} as never;
  const { calls } = linking(ctx as never, none, none, none, none, none, none, none);
  const { id, qr } = await calls.linkOpen({});
  const { device, deviceKey, dhKey } = made(own);
  const asks = { device, deviceKey: deviceKey.publicKey, dhKey: dhKey.publicKey };
  box.request = requestLink(parseLinkCode(qr, 'alice'), box.offer, 'alice', asks, rng).request;
  return { calls, id, close: () => ctx.life.close() };
}

test.each([
  ['number', (own: DeviceSecrets) => ({ ...generateDevice('alice', testRng('new'), START), device: own.device })],
  ['key', (own: DeviceSecrets) => ({ ...own, device: 7 })],
])('T31: a request with the %s of a device that the account has is refused before a person is asked', async (_, made) => {
  const { calls, id, close } = await asked(made);
  await expect(calls.linkRequest({ id })).rejects.toThrow(coded('ERR_DEVICE_UNTRUSTED'));
  close();
});

test('T31: a request is answered once, however fast somebody is', async () => {
  const { calls, id, close } = await asked(() => generateDevice('alice', testRng('new'), START));
  await calls.linkRequest({ id });
  const answers = await Promise.allSettled([false, true].map((isConfirmed) => calls.linkAnswer({ id, isConfirmed })));
  expect(answers).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'ERR_TIMEOUT' } }]);
  close();
});
