import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { concat } from '../src/bytes.js';
import {
  type Action,
  AuthError,
  assertNever,
  DecodeError,
  type ErrorCode,
  InternalError,
  isCyphrError,
  ReplayError,
  StoreError,
  TransportError,
  TrustError,
  UsageError,
} from '../src/errors.js';
import { keyHash, signDeviceList } from '../src/identity/account.js';
import { generateDevice, identityBytes } from '../src/identity/device.js';
import { type Client, createClient, verifyLogin } from '../src/index.js';
import { verifyBundle } from '../src/pqxdh/bundle.js';
import { openFrame } from '../src/pqxdh/handshake.js';
import { generatePrekeys } from '../src/pqxdh/prekeys.js';
import { braid } from '../src/ratchet/braid/machine.js';
import type { BraidState } from '../src/ratchet/braid/state.js';
import { decodeState } from '../src/ratchet/index.js';
import { memoryStore } from '../src/store/memory.js';
import { nodeStore } from '../src/store/node.js';
import { memoryNetwork } from '../src/transport/memory.js';
import type { Login, Network } from '../src/transport/port.js';
import { frameType } from '../src/wire/frames.js';
import { forge, skipAhead } from './helpers/forge.js';
import { glassStore, START } from './helpers/people.js';
import { flip, testRng } from './helpers/rng.js';
import { session, text } from './helpers/sessions.js';

const DAY = 86_400_000;
const options = (account = 'alice') => ({ account, store: memoryStore(), ...memoryNetwork() });

/** One open client for one call; closed whatever becomes of it. */
async function withClient<T>(use: (client: Client) => Promise<T>, more: object = {}): Promise<T> {
  const client = await createClient({ ...options(), ...more });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

function device(listedAtMs = START) {
  const rng = testRng('errors');
  const made = generateDevice('bob', rng, START);
  const entry = { device: made.device, keyHash: keyHash(made.deviceKey.publicKey), dhKey: made.dhKey.publicKey };
  const secrets = { ...made, deviceList: signDeviceList(made.accountKey, 'bob', [entry], 1, listedAtMs, rng) };
  const { next, out } = generatePrekeys(secrets, rng, START);
  return { secrets, prekeys: next, bundle: { address: out.address, identity: identityBytes(secrets), signedSet: out.signedSet } };
}

/** A store that was copied, used further, and put back. */
async function rolledBack(): Promise<void> {
  let login: Login | undefined;
  const network = memoryNetwork();
  const listening: Network = {
    transport: (given) => {
      login = given;
      return network.transport(given);
    },
    directory: network.directory,
  };
  const store = glassStore();
  const first = await createClient({ account: 'alice', store, ...listening });
  const copy = memoryStore();
  await copy.commit([...store.rows()].map(([key, value]) => ({ key: JSON.parse(key), value })));
  await first.send('nobody', 'one commit more');
  const lastProof = await login!.prove({ audience: 'a', nonce: new Uint8Array(8) });
  await first.close();
  const second = await createClient({ account: 'alice', store: copy, ...listening });
  try {
    await login!.prove({ audience: 'a', nonce: new Uint8Array(8), lastProof });
  } finally {
    await second.close();
  }
}

async function lockedStore(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-errors-'));
  const [first, second] = [nodeStore(folder), nodeStore(folder)];
  try {
    await first.read([['x']]);
    await second.read([['x']]);
  } finally {
    await Promise.allSettled([first.close(), second.close()]);
    rmSync(folder, { recursive: true });
  }
}

async function corruptStore(): Promise<unknown> {
  const store = memoryStore();
  await store.commit([{ key: ['meta'], value: new Uint8Array([0xc1]) }]);
  return createClient({ ...options(), store });
}

const usedSession = (change: (peer: ReturnType<typeof session<BraidState>>) => unknown): unknown =>
  change(session(braid, testRng('session')));

/** Where a code comes from that this file doesn't raise. */
interface Elsewhere {
  readonly file?: string;
  readonly reason: string;
}
type Row = readonly [kind: abstract new (...args: never[]) => Error, action: Action, raise: (() => unknown) | Elsewhere];

const TABLE = {
  ERR_ARGUMENT: [UsageError, 'fix', () => createClient({ ...options(), account: 1 as never })],
  ERR_LENGTH: [UsageError, 'fix', () => withClient((client) => client.send('', 'x'))],
  ERR_NO_SESSION: [UsageError, 'fix', () => withClient((client) => client.contact('nobody').identity())],
  ERR_SESSION_DEAD: [
    UsageError,
    'fix',
    () =>
      usedSession(({ alice }) => {
        const { ec } = alice.state;
        if (ec.kind === 'sending') alice.state = { ...alice.state, ec: { ...ec, sendIndex: 0x8000_0000 } };
        alice.send(text('one more'));
      }),
  ],
  ERR_CLOSED: [UsageError, 'fix', () => withClient(async (client) => client.close().then(() => client.send('bob', 'x')))],
  ERR_DECODE: [DecodeError, 'drop', () => frameType(new Uint8Array([0x30, 1, 0, 1]))],
  ERR_VERSION: [DecodeError, 'drop', () => frameType(new Uint8Array([0x20, 2, 0, 1]))],
  ERR_TOO_LARGE: [DecodeError, 'drop', () => frameType(new Uint8Array(256 * 1024 + 1))],
  ERR_DECRYPT: [AuthError, 'drop', () => usedSession(({ alice, bob }) => bob.receive(flip(alice.send(text('x')))))],
  ERR_SIGNATURE: [
    AuthError,
    'drop',
    () =>
      verifyLogin(new Uint8Array(9), {
        audience: 'a',
        nonce: new Uint8Array(8),
        address: device().bundle.address,
        identity: device().bundle.identity,
      }),
  ],
  ERR_BUNDLE: [AuthError, 'drop', () => verifyBundle({ ...device().bundle, signedSet: flip(device().bundle.signedSet) }, undefined, START)],
  ERR_DUPLICATE: [
    ReplayError,
    'drop',
    () =>
      usedSession(({ alice, bob }) => {
        const message = alice.send(text('x'));
        bob.receive(message);
        bob.receive(message);
      }),
  ],
  ERR_KEY_GONE: [
    ReplayError,
    'resend',
    () => openFrame(device().prekeys, device().bundle.address, concat(new Uint8Array([1, 1, 0, 1]), new Uint8Array(8 + 1120 + 1040))),
  ],
  ERR_SKIP_LIMIT: [
    ReplayError,
    'resend',
    () =>
      usedSession(({ alice, bob }) => {
        bob.receive(alice.send(text('x')));
        bob.receive(forge(skipAhead(alice.state, 25_001)));
      }),
  ],
  ERR_IDENTITY_CHANGED: [TrustError, 'ask', () => verifyBundle(device().bundle, new Uint8Array(64), START)],
  ERR_DEVICE_UNTRUSTED: [
    TrustError,
    'ask',
    async () => {
      const network = memoryNetwork();
      const bob = await createClient({ account: 'bob', store: memoryStore(), ...network });
      try {
        const pinThenSend = async (client: Client): Promise<void> => {
          await client.contact('bob').identity();
          await client.send('bob', 'x');
        };
        await withClient(pinThenSend, { ...network, trust: 'pinned-only' });
      } finally {
        await bob.close();
      }
    },
  ],
  ERR_LIST_STALE: [TrustError, 'ask', () => verifyBundle(device(START - 91 * DAY).bundle, undefined, START)],
  ERR_KEYLOG: [TrustError, 'ask', { reason: 'reserved: the key log is not built' }],
  ERR_ACCOUNT_EXISTS: [
    TrustError,
    'ask',
    async () => {
      const network = memoryNetwork();
      await withClient(() => createClient({ account: 'alice', store: memoryStore(), ...network }), network);
    },
  ],
  ERR_STORE_CONFLICT: [StoreError, 'retry', () => memoryStore().commit([{ key: ['x'], value: new Uint8Array(1), ifRev: 7 }])],
  ERR_STORE_IO: [
    StoreError,
    'retry',
    () => createClient({ ...options(), store: { ...memoryStore(), read: () => Promise.reject('disk') } }),
  ],
  ERR_STORE_LOCKED: [StoreError, 'retry', lockedStore],
  ERR_STORE_ROLLBACK: [StoreError, 'recover', rolledBack],
  ERR_STORE_CORRUPT: [StoreError, 'recover', corruptStore],
  ERR_STORE_KEY: [StoreError, 'ask', { reason: 'reserved: encryption at rest is not built' }],
  ERR_STORE_FULL: [StoreError, 'ask', { file: 'test/store/node.test.ts', reason: 'needs a disk that is full' }],
  ERR_STORE_VERSION: [StoreError, 'ask', () => decodeState(new Uint8Array([2]))],
  ERR_OFFLINE: [
    TransportError,
    'retry',
    () => createClient({ ...options(), directory: { publish: async () => {}, fetch: () => Promise.reject(new Error('no route')) } }),
  ],
  ERR_TIMEOUT: [TransportError, 'retry', { file: 'test/transport/websocket.test.ts', reason: 'needs a relay that stays silent' }],
  ERR_REJECTED: [
    TransportError,
    'retry',
    () => {
      const address = { account: 'mallory', device: 1 };
      const directory = memoryNetwork().directory({ address, prove: async () => new Uint8Array() });
      return directory.publish({ address: { account: 'alice', device: 1 }, identity: new Uint8Array(1984), signedSet: new Uint8Array(1) });
    },
  ],
  ERR_BUG: [InternalError, 'report', () => assertNever('new variant' as never)],
} as const satisfies Readonly<Record<ErrorCode, Row>>;

const root = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

describe('every code', () => {
  it('stands in the table, and in the documentation', () => {
    const codes = new Set(readFileSync(root('src/errors.ts'), 'utf8').match(/\bERR_[A-Z_]+/g));
    expect(Object.keys(TABLE).sort()).toEqual([...codes].sort());
    const documentation = readFileSync(root('docs/errors.md'), 'utf8');
    for (const code of codes) expect(documentation.includes(code), code).toBe(true);
  });

  it.each(Object.entries(TABLE))('%s is raised by real code, in its class, with its action', async (code, [kind, action, raise]) => {
    if (typeof raise !== 'function') {
      expect(raise.reason).not.toBe('');
      if ('file' in raise) expect(readFileSync(root(raise.file), 'utf8')).toContain(code);
      const error = new (kind as new (code: string, message: string) => Error)(code, 'x');
      expect(error).toMatchObject({ code, action });
      return;
    }
    const error = await Promise.resolve()
      .then(raise as () => unknown)
      .then(
        () => expect.fail('nothing was thrown'),
        (thrown: unknown) => thrown,
      );
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ code, action, name: kind.name });
    expect(isCyphrError(error)).toBe(true);
  });
});

it('isCyphrError knows the errors of a second copy of the package, and nothing else', async () => {
  vi.resetModules();
  const second = await import('../src/errors.js');
  expect(second.UsageError).not.toBe(UsageError);
  const foreign = new second.UsageError('ERR_ARGUMENT', 'x');
  expect(foreign).not.toBeInstanceOf(UsageError);
  expect(isCyphrError(foreign)).toBe(true);
  expect(second.isCyphrError(new UsageError('ERR_ARGUMENT', 'x'))).toBe(true);
  for (const other of [undefined, null, 'ERR_ARGUMENT', 7, {}, { code: 'ERR_ARGUMENT', action: 'fix' }, new Error('ERR_ARGUMENT')]) {
    expect(isCyphrError(other)).toBe(false);
  }
});
