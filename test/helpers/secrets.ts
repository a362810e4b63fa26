/** Where the secrets of a state are, and what is wiped. */

import { vi } from 'vitest';
import { toHex } from '../../src/bytes.js';

/** What a state holds that is no secret: it stands on the wire, in the header at least, or follows from the handshake's public part. */
const PUBLIC = ['transcriptHash', 'publicKey', 'remoteRatchetKey', 'tag', 'header', 'vector', 'ct1', 'ct2', 'chunk', 'piece'];

/** All secrets in a state: every byte string of it that is not named public, found by walking it, so that no list of fields can forget one. */
export function secretsIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => (PUBLIC.includes(name) ? [] : secretsIn(member)));
}

/** What every buffer held, in hexadecimal, that was filled while `run` ran. By content: blind where something else that holds the same is wiped, as HKDF's blocks are. */
export function filledDuring(run: () => unknown): string[] {
  const held: string[] = [];
  const { fill } = Uint8Array.prototype;
  const spy = vi.spyOn(Uint8Array.prototype, 'fill').mockImplementation(function (this: Uint8Array, ...rest) {
    held.push(toHex(this));
    return fill.apply(this, rest);
  });
  try {
    run();
  } finally {
    spy.mockRestore();
  }
  return held;
}
