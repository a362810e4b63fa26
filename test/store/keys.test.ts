import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compare, encodeUtf8 } from '../../src/bytes.js';
import { checkRange, decodeKey, encodeKey, holdsKeys } from '../../src/store/keys.js';
import type { StoreKey } from '../../src/store/port.js';

const component = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\0', '\x01', 'a', 'a\0', '/', ':', '\u{10ffff}'),
);
const key = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts as unknown as StoreKey);

function compareKeys(a: StoreKey, b: StoreKey): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compare(encodeUtf8(a[i]!)!, encodeUtf8(b[i]!)!);
    if (order !== 0) return Math.sign(order);
  }
  return Math.sign(a.length - b.length);
}

describe('T34: encoded keys', () => {
  test('decode to what was encoded, and hold one character per byte', () => {
    fc.assert(
      fc.property(key, (original) => {
        const encoded = encodeKey(original, 'key');
        expect([...encoded].every((char) => char.charCodeAt(0) <= 0xff)).toBe(true);
        expect(decodeKey(encoded)).toEqual(original);
      }),
    );
  });

  test('stand in the order of the components', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const [left, right] = [encodeKey(a, 'a'), encodeKey(b, 'b')];
        expect(left < right ? -1 : left > right ? 1 : 0).toBe(compareKeys(a, b));
      }),
    );
  });

  test('lie in the range of a prefix exactly if they begin with its components and go on', () => {
    fc.assert(
      fc.property(key, key, fc.boolean(), (prefix, other, below) => {
        const tested = below ? ([...prefix, ...other] as unknown as StoreKey) : other;
        const { gt, lt } = checkRange(prefix, 1, undefined);
        const encoded = encodeKey(tested, 'key');
        const expected = tested.length > prefix.length && prefix.every((part, i) => tested[i] === part);
        expect(encoded > gt && encoded < lt).toBe(expected);
      }),
    );
  });

  test.each(['', 'b', '\xff\0', '\xc3\0', 'b\0b'])('decode to nothing for bytes that no key has: %j', (encoded) => {
    expect(decodeKey(encoded)).toBeUndefined();
  });
});

test('rows that hold keys are told by their space, as a whole', () => {
  const spaces = ['device', 'prekeys', 'session', 'init', 'skipped', 'devices', 'sessio', '', 'inbox', 'contact-device'];
  expect(spaces.filter((space) => holdsKeys(encodeKey([space, 'x'], 'key')))).toEqual(['device', 'prekeys', 'session', 'init', 'skipped']);
  expect(holdsKeys(encodeKey(['device'], 'key'))).toBe(true);
  expect(holdsKeys('no key')).toBe(false);
});
