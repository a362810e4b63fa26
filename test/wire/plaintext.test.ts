import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePlaintext, PLAINTEXT_HEAD_BYTES, type Plaintext, parsePlaintext, saysControl } from '../../src/wire/plaintext.js';
import { codeOf } from '../helpers/expect-code.js';

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const plaintexts: fc.Arbitrary<Plaintext> = fc.record({
  kind: fc.constantFrom('app', 'control'),
  messageId: bytes(16),
  ownListVersion: fc.maxSafeNat(),
  peerListVersion: fc.maxSafeNat(),
  ownListHash: bytes(8),
  payload: fc.uint8Array({ maxLength: 100 }),
});

describe('encodePlaintext and parsePlaintext', () => {
  it('are inverse', () => {
    fc.assert(
      fc.property(plaintexts, (plaintext) => {
        const encoded = encodePlaintext(plaintext);
        expect(encoded.length).toBe(PLAINTEXT_HEAD_BYTES + plaintext.payload.length);
        expect(encoded[0]).toBe(plaintext.kind === 'app' ? 0 : 1);
        expect(parsePlaintext(encoded)).toEqual(plaintext);
        expect(saysControl(encoded)).toBe(plaintext.kind === 'control');
      }),
      { seed: 41, numRuns: 300 },
    );
  });

  it('T40: whatever arrives is a plaintext, none, or ERR_DECODE', () => {
    const head = encodePlaintext({ ...fc.sample(plaintexts, { seed: 41, numRuns: 1 })[0]!, payload: new Uint8Array(0) });
    for (let length = 0; length < head.length; length++) expect(parsePlaintext(head.subarray(0, length))).toBeUndefined();
    for (const kind of [2, 128, 255]) expect(parsePlaintext(new Uint8Array([kind, ...head.subarray(1)]))).toBeUndefined();
    for (const at of [17, 25]) {
      const beyond = head.slice();
      beyond.fill(0xff, at, at + 8);
      expect(codeOf(() => parsePlaintext(beyond))).toBe('ERR_DECODE');
    }
  });
});
