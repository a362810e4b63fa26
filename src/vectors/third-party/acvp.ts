/**
 * Plays files of ACVP (NIST) for the primitives that this library has: an internalProjection, or a prompt with its expectedResults.
 * Tests with expanded secret keys are not for this library, which keeps seeds.
 */

import { concat, equal } from '../../bytes.js';
import type { Backend } from '../../crypto/backend/backend.js';
import { slhVerifyWithContext } from '../../crypto/slh-dsa.js';
import { hmacSha256, isX25519PublicKey, mlKem768, mlKem1024 } from '../../crypto/suite.js';
import { type Groups, hasGroups, hex, is, isMembers, type Members, type Outcome, type Play, playGroups } from './outcome.js';

/** A prompt and its expected results as one file, test by test. */
export function joined(prompt: unknown, expected: unknown): unknown {
  const [ask, answer] = [unwrapped(prompt), unwrapped(expected)];
  if (!isAcvp(ask) || !hasGroups(answer)) return prompt;
  const find = (list: readonly Members[], member: string, id: unknown): Members => list.find((each) => each[member] === id) ?? {};
  const testGroups = ask.testGroups.map((group) => {
    const answers = (find(answer.testGroups, 'tgId', group['tgId'])['tests'] ?? []) as readonly Members[];
    return { ...group, tests: group.tests.map((test) => ({ ...test, ...find(answers, 'tcId', test['tcId']) })) };
  });
  return { ...ask, testGroups };
}

/** Plays a parsed file with `backend`; `undefined` if it is none of ACVP's. */
export function playAcvp(json: unknown, backend: Backend): Iterable<Outcome> | undefined {
  const file = unwrapped(json);
  if (!isAcvp(file)) return undefined;
  const kind = `${String(file['algorithm'])} ${String(file['mode'] ?? '')}`.trim();
  const players = playersOver(backend);
  return playGroups(file, Object.hasOwn(players, kind) ? players[kind] : undefined);
}

/** As a server sends it, a file stands behind its version: [{ acvVersion }, { … }]. */
const unwrapped = (json: unknown): unknown => (Array.isArray(json) && json.length === 2 ? json[1] : json);
const isAcvp = (json: unknown): json is Groups & Members =>
  hasGroups(json) && isMembers(json) && 'algorithm' in json && 'revision' in json && !('schema' in json);

const KEMS = { 'ML-KEM-768': { kem: mlKem768, member: 'mlKem768' }, 'ML-KEM-1024': { kem: mlKem1024, member: 'mlKem1024' } } as const;
const kemOf = ({ parameterSet }: Members) => KEMS[parameterSet as keyof typeof KEMS];
const isOf = (group: Members, members: Members): boolean => Object.entries(members).every(([name, value]) => group[name] === value);

const playersOver = (backend: Backend): Readonly<Record<string, Play>> => ({
  'ML-KEM keyGen': (test, group) => {
    const found = kemOf(group);
    return found && is(backend[found.member].publicKey(concat(hex(test['d']), hex(test['z']))), test['ek']);
  },
  'ML-KEM encapDecap': (test, group) => {
    const kem = kemOf(group)?.kem;
    if (kem === undefined) return undefined;
    if (group['function'] === 'encapsulationKeyCheck') return kem.isPublicKey(hex(test['ek'])) === test['testPassed'];
    if (group['function'] !== 'encapsulation') return undefined;
    const { kemCiphertext, kemSharedSecret } = kem.encapsulate(hex(test['ek']), hex(test['m']));
    return is(kemCiphertext, test['c']) && is(kemSharedSecret, test['k']);
  },
  'ML-DSA keyGen': (test, group) =>
    isOf(group, { parameterSet: 'ML-DSA-65' }) ? is(backend.mlDsa65PublicKey(hex(test['seed'])), test['pk']) : undefined,
  'ML-DSA sigVer': (test, group) => {
    if (!isOf(group, { parameterSet: 'ML-DSA-65', signatureInterface: 'external', preHash: 'pure' })) return undefined;
    const [publicKey, message] = [hex(test['pk'] ?? group['pk']), hex(test['message'])];
    return backend.mlDsa65Verify(publicKey, message, hex(test['context']), hex(test['signature'])) === test['testPassed'];
  },
  'SLH-DSA sigVer': (test, group) => {
    if (!isOf(group, { parameterSet: 'SLH-DSA-SHA2-192s', signatureInterface: 'external', preHash: 'pure' })) return undefined;
    const [publicKey, message] = [hex(test['pk'] ?? group['pk']), hex(test['message'])];
    return slhVerifyWithContext(publicKey, message, hex(test['context']), hex(test['signature'])) === test['testPassed'];
  },
  // Bit 255 of a public key is ignored by the standard, and refused here.
  'XECDH keyVer': (test, group) => {
    if (!isOf(group, { curve: 'Curve25519' }) && !isOf(group, { curve: 'Curve-25519' })) return undefined;
    const publicKey = hex(test['publicKey']);
    const hasBit255 = publicKey.length === 32 && publicKey[31]! >= 0x80;
    return isX25519PublicKey(publicKey) === (test['testPassed'] === true && !hasBit255);
  },
  'EDDSA sigVer': (test, group) =>
    isOf(group, { curve: 'ED-25519', preHash: false })
      ? backend.ed25519Verify(hex(test['q'] ?? group['q']), hex(test['message']), hex(test['signature'])) === test['testPassed']
      : undefined,
  'HMAC-SHA2-256': (test) => {
    const mac = hex(test['mac']);
    return equal(hmacSha256(hex(test['key']), hex(test['msg'])).subarray(0, mac.length), mac);
  },
});
