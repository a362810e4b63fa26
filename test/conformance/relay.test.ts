import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { equal } from '../../src/bytes.js';
import { TransportError } from '../../src/errors.js';
import { directoryConformance } from '../../src/testing/directory-conformance.js';
import { transportConformance } from '../../src/testing/transport-conformance.js';
import type { Login } from '../../src/transport/port.js';
import { relay as network } from '../../src/transport/websocket.js';

// The suites use logins that prove nothing and keys that are noise. So this relay takes the nonce itself for a proof, and the first
// 1,984 bytes of an identity for the account key; test/system/relay.test.ts has the real ones.
vi.mock('@cyphr/e2ee', () => ({
  verifyLogin(proof: Uint8Array, { nonce, identity }: { nonce: Uint8Array; identity: Uint8Array }) {
    if (!equal(proof, nonce)) throw new Error('not the nonce');
    const accountKeyHash = createHash('sha512').update(identity.subarray(0, 1984)).digest();
    const devices = Array.from({ length: 64 }, (_, i) => ({ device: i + 1, keyHash: accountKeyHash }));
    return { accountKeyHash, listVersion: 1, devices, storeId: new Uint8Array(16), generation: 0 };
  },
}));

const folder = mkdtempSync(join(tmpdir(), 'cyphr-relay-'));
const tcp = new Set<Socket>();
const statements = join(folder, 'statements');
let relay: Relay;
let url = '';

/** A network in front of the relay that can fail. */
const wire = createServer((socket) => {
  const { hostname, port } = new URL(relay.url);
  const through = connectTcp(Number(port), hostname);
  for (const [from, to] of [
    [socket, through],
    [through, socket],
  ] as const) {
    tcp.add(from.on('error', () => {}).on('close', () => tcp.delete(from) && to.destroy()));
    from.pipe(to);
  }
});

beforeAll(async () => {
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(wire.address() as AddressInfo).port}`;
  const limits = { takesPerHour: 1e6, challengesPerMinute: 1e6, readsPerMinute: 1e6, leavesPerMinute: 1e6 };
  mkdirSync(statements);
  relay = await startRelay({ data: folder, statements, names: [host], limits, logLevel: 'silent' });
  url = `ws://${host}`;
  await directory(reader).publish(keysOf(reader));
});
afterAll(async () => {
  await relay.close();
  wire.close();
  rmSync(folder, { recursive: true });
});

const loginOf = (account: string, device: number): Login => ({
  address: { account, device },
  prove: async ({ nonce }) => new Uint8Array(nonce),
});
const keysOf = ({ address }: Login) => ({
  address,
  identity: new Uint8Array(4_000).fill(address.account.charCodeAt(address.account.length - 1)),
  signedSet: new Uint8Array(100),
});
const directory = (login: Login) => network(url).directory(login);
const reader = loginOf('reader', 1);

describe('the WebSocket adapter and the reference relay: transport', () => {
  const suite = transportConformance({
    async connect(login) {
      const net = network(url);
      await net.directory(login).publish(keysOf(login));
      return net.transport(login);
    },
    async sever() {
      for (const socket of tcp) socket.destroy();
    },
  });
  for (const { name, run } of suite) test(name, run);
});

describe('the WebSocket adapter and the reference relay: directory', () => {
  // Who takes one-time prekeys must be a known device, so a known one reads for devices that have not published yet.
  const suite = directoryConformance({
    vouch: (account, statement) => writeFile(join(statements, `${encodeURIComponent(account)}.bin`), statement),
    open(login) {
      const own = directory(login);
      return {
        publish: own.publish,
        leave: own.leave!,
        statement: own.statement!,
        pickUp: own.pickUp!,
        fetch: directory(reader).fetch,
        async remaining() {
          try {
            return await own.remaining!();
          } catch (error) {
            if (error instanceof TransportError && error.code === 'ERR_REJECTED') return 0;
            throw error;
          }
        },
      };
    },
  });
  for (const { name, run } of suite) test(name, run);
});
