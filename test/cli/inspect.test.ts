/** What `inspect` says of every object, frame and stored thing; and that no secret is ever among it. */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { type Explanation, explain } from '../../src/cli/inspect/explain.js';
import { inspectBytes, inspectText } from '../../src/cli/inspect/input.js';
import { KINDS } from '../../src/cli/inspect/kinds.js';
import { printFindings } from '../../src/cli/inspect/print.js';
import { encodeLinkQr, encodeLinkTyped } from '../../src/identity/link-code.js';
import { safetyNumber } from '../../src/identity/safety-number.js';
import { decodeState } from '../../src/ratchet/index.js';
import { encodeInit, encodeSealedHead } from '../../src/wire/frames.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import * as objects from '../../src/wire/objects.js';
import { CHUNK_BYTES, encodePrefix, parseRatchetFrame } from '../../src/wire/ratchet-message.js';
import * as arbitrary from '../wire/arbitraries.js';
import { SEED } from '../wire/fuzz.js';

const one = <T>(from: fc.Arbitrary<T>): T => fc.sample(from, { seed: SEED, numRuns: 1 })[0]!;
const signature = new Uint8Array(3373).fill(5);
const sample = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => 1 + (i % 251));

const list = concat(objects.encodeDeviceList(one(arbitrary.deviceList)), signature);
const ratchetMessage = (profile: 1 | 2 | 3): Uint8Array =>
  concat(encodePrefix(sample(16)), sample(24 + 72 + CHUNK_BYTES[profile] + 32 + 1024 + 16));
const init = one(arbitrary.init);
const hash = sample(64);

/** One of each that is all public, with some names of its fields. */
const WIRE: readonly (readonly [kind: string, bytes: Uint8Array, names: readonly string[]])[] = [
  ['sealed frame', concat(encodeSealedHead(sample(8)), sample(1120 + 1040)), ['setId', 'enc', 'ciphertext']],
  [
    'Init',
    concat(encodeInit({ ...init, deviceList: list, profile: 1 }), ratchetMessage(1)),
    ['mode', 'otId', 'kemCiphertext', 'signature', 'ratchetMessage'],
  ],
  ['ratchet message', ratchetMessage(1), ['tag', 'headerNonce', 'headerCiphertext', 'commitment', 'bodyCiphertext']],
  ['ratchet message', ratchetMessage(2), ['tag', 'headerCiphertext']],
  ['ratchet message', ratchetMessage(3), ['tag', 'headerCiphertext']],
  ['DeviceList', list, ['version', 'freshUntil', 'entries count', 'entries[0].keyHash', 'signature']],
  ['SignedSet', concat(objects.encodeSignedSet(one(arbitrary.signedSet)), signature), ['incarnation', 'suites[0]', 'profiles', 'sealKey']],
  ['OneTimeBatch', concat(objects.encodeBatch(one(arbitrary.batch)), signature), ['batchId', 'count', 'root']],
  ['RootStatement', concat(objects.encodeRootStatement(one(arbitrary.rootStatement)), sample(16_224)), ['rootKey', 'signature']],
  ['login proof', concat(objects.encodeLogin(one(arbitrary.login)), signature), ['audience', 'nonce', 'storeId', 'generation']],
  ['one-time entry', objects.encodeOneTimeEntry({ ...one(arbitrary.oneTimeEntry), path: [hash.slice(32)] }), ['otId', 'path[0]']],
  [
    'identity part of a bundle',
    objects.encodeIdentity({ accountKey: sample(1984), deviceList: list, deviceKey: sample(1984) }),
    ['deviceKey'],
  ],
  [
    'safety number (QR payload)',
    safetyNumber({ account: 'alice', accountKeyHash: hash }, { account: 'bob', accountKeyHash: hash }).qr,
    ['ownAccount', 'peerHash'],
  ],
];

/** Every part is the bytes where it says that it stands, and the parts are all of them. */
function expectWhole(bytes: Uint8Array, { parts, lengthBytes }: Explanation): void {
  expect(lengthBytes).toBe(bytes.length);
  let at = 0;
  for (const { offset, name, value, lengthBytes: length } of parts) {
    expect([name, offset]).toEqual([name, at]);
    at += length;
    const raw = toHex(bytes.slice(offset, at));
    if (typeof value === 'number') expect([name, value]).toEqual([name, Number(`0x${raw}`)]);
    else if (typeof value === 'string' && fromHex(value) !== undefined) expect([name, raw.endsWith(value)]).toEqual([name, true]);
  }
  expect(at).toBe(bytes.length);
}

describe.each(WIRE)('%s', (kind, bytes, names) => {
  test('byte for byte', () => {
    const explanation = explain(bytes)!;
    expect(explanation.fault).toBeUndefined();
    expect(explanation.kind).toBe(kind);
    expect(explanation.parts.map(({ name }) => name)).toEqual(expect.arrayContaining([...names]));
    expectWhole(bytes, explanation);
  });

  test('damaged: what and where', () => {
    const longer = explain(concat(bytes, sample(1)));
    if (longer?.kind === kind && !/frame|Init|message/.test(kind)) expect(longer.fault?.offset).toBe(bytes.length);
    for (const length of [5, 40, bytes.length - 1]) {
      const fault = explain(bytes.slice(0, length))?.fault;
      if (fault === undefined) continue; // A shorter frame can be a frame; what has no type is not recognised.
      expect(fault.code).toMatch(/^ERR_/);
      expect(fault.offset).toBeLessThanOrEqual(length);
    }
  });
});

test('a field that breaks a rule is named where it stands', () => {
  const set = concat(objects.encodeSignedSet({ ...one(arbitrary.signedSet), account: 'a', profiles: 8 }), signature);
  const at = explain(set)!.parts.find(({ name }) => name === 'profiles')!.offset;
  expect(explain(set)!.fault).toMatchObject({ code: 'ERR_DECODE', offset: at });
  const other = Uint8Array.from(list, (byte, i) => (i === 1 ? 9 : byte));
  expect(explain(other)!.fault).toMatchObject({ code: 'ERR_VERSION', offset: 1 });
  expect(explain(list.slice(0, 50))!.fault).toMatchObject({ code: 'ERR_DECODE', message: expect.stringContaining('accountKeyHash') });
});

test.each([1, 2, 3] as const)('a ratchet message of profile %i is laid out as its codec does', (profile) => {
  const bytes = ratchetMessage(profile);
  const frame = parseRatchetFrame(bytes, profile);
  const { parts } = explain(bytes)!;
  const views = [frame.tag, frame.headerNonce, frame.headerCiphertext, frame.commitment, frame.bodyCiphertext];
  expect(parts.slice(3).map(({ offset, lengthBytes }) => [offset, lengthBytes])).toEqual(
    views.map((view) => [view.byteOffset - bytes.byteOffset, view.length]),
  );
  expect(parts.find(({ name }) => name === 'headerCiphertext')?.meaning).toContain(String(profile));
});

test('what stands within a field is explained there', () => {
  const { parts } = explain(WIRE[1]![1])!;
  const inside = (name: string) => parts.find((part) => part.name === name)?.inside?.kind;
  expect([inside('deviceList'), inside('ratchetMessage')]).toEqual(['DeviceList', 'ratchet message']);
});

test('a field of zeros is what it is called, and nothing else', () => {
  const frame = concat(encodeSealedHead(sample(8)), new Uint8Array(1120 + 1040));
  const { parts } = explain(frame)!;
  expect(parts.filter(({ inside }) => inside !== undefined)).toEqual([]);
});

test('in every spelling', () => {
  const base64 = Buffer.from(list).toString('base64');
  const folded = base64.match(/.{1,64}/g)!.join('\n');
  for (const text of [
    toHex(list),
    toHex(list).toUpperCase(),
    `${toHex(list)}\n`,
    base64,
    Buffer.from(list).toString('base64url'),
    `-----BEGIN CYPHR DEVICE LIST-----\n${folded}\n-----END CYPHR DEVICE LIST-----\n`,
    JSON.stringify({ some: { member: toHex(list), other: 'text' } }),
  ]) {
    for (const { found } of [inspectText(text), inspectBytes(new TextEncoder().encode(text))]) {
      expect(found.map(({ explanation }) => explanation.kind)).toEqual(['DeviceList']);
    }
  }
  for (const nothing of ['', 'alice', '00', 'no base64!', '{"a":', '[]', 'A'.repeat(101)]) {
    expect(inspectText(nothing).found, nothing).toEqual([]);
  }
});

test('what is no base64 is told in linear time', () => {
  const before = process.cpuUsage();
  expect(inspectText(`A${' '.repeat(100_000)}!`).found).toEqual([]);
  const { user } = process.cpuUsage(before);
  expect(user / 1000).toBeLessThan(1_000);
});

test('what is nested without end is explained to some depth', () => {
  let record: Uint8Array = list;
  for (let i = 0; i < 400; i++) record = encodeMsgpack({ v: 1, kind: 'contact', list: record });
  const said = JSON.stringify(inspectBytes(record));
  expect(said.match(/"inside"/g)?.length).toBe(4);
  expect(said.length).toBeLessThan(20 * record.length);

  const depth = 100_000;
  const json = `${'['.repeat(depth)}"00"${']'.repeat(depth)}`;
  expect(inspectText(json)).toEqual({ found: [], unknown: 1 });
  const many = { ['x'.repeat(100_000)]: new Array(100).fill(toHex(encodeMsgpack({ v: 1, kind: 'x' }))) };
  const { found } = inspectText(JSON.stringify(many));
  expect(found.length).toBe(100);
  for (const { path } of found) expect(path.length).toBeLessThan(300);
  expect(found[99]!.path).toMatch(/^…x+\[99\]$/);
});

test('codes of a linking are recognised, and not repeated', () => {
  const fingerprint = sample(32);
  const typed = encodeLinkTyped(fingerprint);
  const qr = encodeLinkQr('alice', fingerprint);
  for (const findings of [inspectText(typed), inspectBytes(qr)]) {
    const said = JSON.stringify(findings) + printFindings(findings).join('\n');
    expect(findings.found[0]!.explanation.kind).toContain('code of a linking');
    for (const secret of [toHex(fingerprint.slice(0, 14)), typed, typed.slice(0, 9)]) expect(said).not.toContain(secret);
  }
});

test('bytes that nobody made are explained, or not, without a fall', () => {
  const all = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(...WIRE.map(([, bytes]) => bytes)));
  fc.assert(
    fc.property(all, fc.nat(), fc.nat(255), (bytes, at, value) => {
      const damaged = Uint8Array.from(bytes, (byte, i) => (i === at % bytes.length ? value : byte));
      printFindings(inspectBytes(damaged));
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test.each([
  ['sealed-store-v1.json', ['key slot of a sealed store', 'head of a sealed store', 'record of a sealed store'], ['"passphrase"', '"raw"']],
  ['export-v1.json', ['export'], ['"raw"', '"CYPHRBAK"']],
])('what is stored in %s', (name, kinds, meanings) => {
  const { found } = inspectBytes(new Uint8Array(readFileSync(new URL(`../../test-vectors/${name}`, import.meta.url))));
  expect(found.filter(({ explanation }) => explanation.fault !== undefined)).toEqual([]);
  expect(found.map(({ explanation }) => explanation.kind)).toEqual(expect.arrayContaining(kinds));
  expect(found.flatMap(({ explanation }) => explanation.parts.map(({ meaning }) => meaning))).toEqual(expect.arrayContaining(meanings));
  for (const { explanation } of found)
    expect(explanation.parts.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)).toBe(explanation.lengthBytes);
});

describe('T39: nothing secret is shown', () => {
  const folder = fileURLToPath(new URL('../../test-vectors/', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'schema.json');
  const CHUNK = 32;

  /** All runs of 16 bytes in what was said, at any place. */
  function windowsOf(said: string): Set<string> {
    const windows = new Set<string>();
    for (const [run] of said.matchAll(/[0-9a-f]{32,}/g)) {
      for (let at = 0; at + CHUNK <= run.length; at += 1) windows.add(run.slice(at, at + CHUNK));
    }
    return windows;
  }
  /** What is cut out of a secret: a leak of 31 bytes of it holds one of these. */
  const chunksOf = (hex: string): string[] =>
    Array.from({ length: Math.floor(hex.length / CHUNK) }, (_, i) => hex.slice(CHUNK * i, CHUNK * (i + 1)));

  /** Members of records that are secret, whatever `inspect` believes. */
  const SECRET_MEMBERS = ['aik', 'dik', 'ikx', 'spk', 'pqlr', 'seal', 'opk', 'pqopk', 'core', 'payload'];
  function secretsOfRecord(value: unknown): string[] {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
    return Object.entries(value).flatMap(([name, item]) => {
      const isSecret = SECRET_MEMBERS.includes(name) && item instanceof Uint8Array && item.length !== 1984;
      return isSecret ? [toHex(item)] : secretsOfRecord(item);
    });
  }
  /** Members of vectors that are secret by their name, and whole rows that hold keys and nothing else. */
  const SECRET_NAMES = /secret|seed|random|skipped|^(?:(?:root|nextHeader|header|chain|message|raw)Key[AB]?|key|history)$/i;
  function secretsOf(value: unknown, name: string): string[] {
    if (typeof value === 'object' && value !== null) {
      return Object.entries(value).flatMap(([key, item]) => secretsOf(item, Array.isArray(value) ? name : key));
    }
    if (typeof value !== 'string' || fromHex(value) === undefined) return [];
    if (SECRET_NAMES.test(name)) return [value];
    try {
      return secretsOfRecord(decodeMsgpack(fromHex(value)!, { maxNodes: 65_536 }));
    } catch {
      return [];
    }
  }

  /** What is public and stands within secret members: the names of messages and the peer's keys in states, public keys in secret ones. */
  const SEEN_BY_ALL = ['publicKey', 'signedSet', 'bytes', 'frame', 'statement'];
  const PUBLIC_MEMBERS = ['name', 'published', 'signedSet', 'prefix'];
  function publicWithin(json: unknown): string[] {
    if (typeof json !== 'object' || json === null) return [];
    return Object.entries(json).flatMap(([name, item]) => {
      if (typeof item !== 'string' || fromHex(item) === undefined) return publicWithin(item);
      if (SEEN_BY_ALL.includes(name)) return [item];
      try {
        return openIn(decodeMsgpack(fromHex(item)!, { maxNodes: 65_536 }));
      } catch {
        return [];
      }
    });
  }
  function openIn(value: unknown): string[] {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
    return Object.entries(value).flatMap(([name, item]) =>
      PUBLIC_MEMBERS.includes(name) && item instanceof Uint8Array ? [toHex(item)] : openIn(item),
    );
  }

  test.each(files)('%s', (name) => {
    const bytes = new Uint8Array(readFileSync(folder + name));
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const findings = inspectBytes(bytes);
    const windows = windowsOf(JSON.stringify(findings) + printFindings(findings).join('\n'));
    const secrets = secretsOf(json, '').flatMap(chunksOf);
    const open = publicWithin(json);
    const shown = secrets.filter((chunk) => windows.has(chunk) && !/^(.)\1*$/.test(chunk));
    expect(shown.filter((chunk) => !open.some((each) => each.includes(chunk)))).toEqual([]);
    if (/client-store/.test(name)) expect(secrets.length).toBeGreaterThan(1000);
    if (/client-store/.test(name)) expect(findings.found.length).toBeGreaterThan(50);
  });

  test('of stored ratchet states', () => {
    const { states } = JSON.parse(readFileSync(`${folder}ratchet-state-v1.json`, 'utf8')) as { states: { state: string }[] };
    for (const { state } of states) {
      const explanation = explain(fromHex(state)!)!;
      expect(explanation.kind).toBe('ratchet state');
      const { role, profile } = decodeState(fromHex(state)!);
      const said = (name: string) => explanation.parts.find((part) => part.name === name);
      expect([said('role')?.meaning, said('profile')?.value]).toEqual([role, profile]);
      // What follows the core is the number of chains of skipped keys, at least.
      expect(said('coreBytes')?.value).toBeLessThanOrEqual(explanation.lengthBytes - 5 - 2);
      const windows = windowsOf(JSON.stringify(explanation));
      expect([...windows]).toEqual([]);
      expect(JSON.stringify(explanation).length).toBeLessThan(1000);
    }
  });

  test('of keys that begin like a frame', () => {
    const types = [0x01, 0x10, 0x20, 0x40, 0x41, 0x42, 0x43, 0x45, 0x00];
    const key = fc.tuple(fc.constantFrom(...types), fc.uint8Array({ minLength: 31, maxLength: 600 }));
    fc.assert(
      fc.property(key, ([type, rest]) => {
        const secret = Uint8Array.from([type, ...rest.map((byte) => byte | 0x80)]);
        const chunks = Array.from({ length: secret.length - 8 }, (_, i) => toHex(secret.slice(i, i + 8)));
        for (const findings of [inspectBytes(secret), inspectText(toHex(secret)), inspectText(JSON.stringify({ key: toHex(secret) }))]) {
          const said = JSON.stringify(findings) + printFindings(findings).join('\n');
          expect(chunks.filter((chunk) => said.includes(chunk))).toEqual([]);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('every kind that holds secrets names what it shows', () => {
    const open = KINDS.filter(({ shows }) => shows === undefined).map(({ name }) => name);
    expect(open.sort()).toEqual([...new Set(WIRE.map(([kind]) => kind))].sort());
  });
});
