import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { linkingVectors } from './linking-vectors.js';

test('T31, T46: the linking of test-vectors/linking.json comes out byte for byte', () => {
  const golden: unknown = JSON.parse(readFileSync(new URL('../../test-vectors/linking.json', import.meta.url), 'utf8'));
  const made = linkingVectors();
  expect(made.refused.map(({ code }) => code)).toEqual([
    ...['ERR_ARGUMENT', 'ERR_ARGUMENT', 'ERR_ARGUMENT', 'ERR_ARGUMENT', 'ERR_ARGUMENT'],
    ...['ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT'],
    ...['ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT'],
    ...['ERR_DEVICE_UNTRUSTED', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT', 'ERR_DECRYPT'],
    'ERR_DECRYPT',
  ]);
  expect(made).toEqual(golden);
});
