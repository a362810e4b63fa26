import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeUtf8, toHex } from '../../src/bytes.js';
import { info, LABELS, type Label, labelBytes, PX } from '../../src/crypto/labels.js';

it('the table of labels is frozen', () => {
  expect(LABELS).toEqual([
    'hs/kdf',
    'hs/init',
    'sid',
    'rk',
    'hk',
    'nonce',
    'msg',
    'hdr',
    'body',
    'seal',
    'scka/start',
    'scka/epoch',
    'scka/next',
    'scka/key',
    'scka/auth',
    'scka/hdr-mac',
    'scka/ct-mac',
    'hs/sig',
    'login',
    'id/list',
    'id/root',
    'pk/set',
    'pk/batch',
    'handshake',
    'store/rec',
    'store/aad',
    'store/name',
    'store/set',
    'store/head',
    'store/nonce',
    'store/slot',
    'store/commit',
    'store/kek',
    'store/box',
    'bak/slot',
    'bak/key',
    'sas',
    'link/key',
    'link/commit',
    'link/slot',
    'link/offer',
    'link/request',
    'link/challenge',
    'link/grant',
  ]);
  expect(new Set(LABELS).size).toBe(LABELS.length);
});

it('PX is 8 bytes and stands before every label', () => {
  expect(toHex(encodeUtf8(PX)!)).toBe('43595048522f3120');
  for (const label of LABELS) expect(labelBytes(label)).toEqual(encodeUtf8(`CYPHR/1 ${label}`));
});

it('INFO is a length, PX and label, and length-prefixed fields', () => {
  expect(toHex(info('rk'))).toBe('0a43595048522f3120726b');
  expect(toHex(info('sid', new Uint8Array([1, 2]), new Uint8Array(0)))).toBe('0b43595048522f3120736964000201020000');
});

it('INFO is injective', () => {
  const call = fc.tuple(fc.constantFrom(...LABELS), fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 4 }));
  fc.assert(
    fc.property(call, call, ([labelA, fieldsA], [labelB, fieldsB]) => {
      const same = labelA === labelB && JSON.stringify(fieldsA) === JSON.stringify(fieldsB);
      expect(toHex(info(labelA, ...fieldsA)) === toHex(info(labelB, ...fieldsB))).toBe(same);
    }),
  );
  fc.assert(
    fc.property(call, ([label, fields]) => {
      expect(parseInfo(info(label, ...fields))).toEqual([label, fields]);
    }),
  );
});

it('a field longer than its length prefix can say is a bug', () => {
  expect(info('sid', new Uint8Array(0xffff)).length).toBe(12 + 2 + 0xffff);
  expect(() => info('sid', new Uint8Array(0x10000))).toThrow(expect.objectContaining({ code: 'ERR_BUG', got: 0x10000, max: 0xffff }));
});

/** An inverse proves injectivity. */
function parseInfo(bytes: Uint8Array): [Label, Uint8Array[]] {
  const end = 1 + bytes[0]!;
  const label = String.fromCharCode(...bytes.subarray(1, end)).slice(PX.length) as Label;
  const fields: Uint8Array[] = [];
  for (let at = end; at < bytes.length; ) {
    const length = bytes[at]! * 256 + bytes[at + 1]!;
    fields.push(new Uint8Array(bytes.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  return [label, fields];
}
