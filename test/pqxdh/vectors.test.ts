import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { handshakeVectors } from './vectors.js';

test('T46: the handshakes of test-vectors/handshake.json come out byte for byte', () => {
  const golden: unknown = JSON.parse(readFileSync(new URL('../../test-vectors/handshake.json', import.meta.url), 'utf8'));
  const { cases, ...rest } = handshakeVectors();
  expect(golden).toMatchObject(rest);
  expect(cases.map(({ outputs }) => ('error' in outputs ? outputs.error : 'ok'))).toEqual([
    'ok',
    'ok',
    'ok',
    'ERR_DECRYPT',
    'ERR_KEY_GONE',
    'ERR_KEY_GONE',
    'ERR_DECRYPT',
    'ERR_DECRYPT',
    'ERR_DECRYPT',
    'ERR_DECRYPT',
    'ERR_DECRYPT',
  ]);
  expect({ ...rest, cases }).toEqual(golden);
});
