import fc from 'fast-check';
import { expect, test } from 'vitest';
import { reader, writer } from '../../src/wire/codec.js';
import { type Met, readFields, writeFields } from '../../src/wire/layout.js';
import * as arbitrary from './arbitraries.js';
import { SEED } from './fuzz.js';

/** Every form that a field can have. */
const EVERY = {
  fixed: 4,
  u8: 'u8',
  u16: 'u16',
  u32: 'u32',
  u64: 'u64',
  behind: 'lp16',
  account: 'account',
  device: 'device',
  numbers: { count: 'u8', each: 'u16' },
  groups: { count: 'u16', each: { key: 2, more: { count: 'u8', each: 'lp16' } } },
  left: 'rest',
} as const;

const values = fc.record({
  fixed: arbitrary.bytes(4),
  u8: fc.nat(0xff),
  u16: fc.nat(0xffff),
  u32: fc.nat(0x7fff_ffff),
  u64: arbitrary.u64,
  behind: fc.uint8Array({ maxLength: 40 }),
  account: arbitrary.account,
  device: arbitrary.device,
  numbers: fc.array(fc.nat(0xffff), { maxLength: 3 }),
  groups: fc.array(fc.record({ key: arbitrary.bytes(2), more: fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 3 }) }), {
    maxLength: 3,
  }),
  left: fc.uint8Array({ maxLength: 20 }),
});

test('what is written comes back, and every byte of it was met once', () => {
  fc.assert(
    fc.property(values, (fields) => {
      const bytes = writeFields(writer(), EVERY, fields).finish();
      const met: Met[] = [];
      const from = reader(bytes);
      expect(readFields(from, EVERY, met)).toEqual(fields);
      from.end();
      let at = 0;
      for (const { offset, lengthBytes, value } of met) {
        expect([offset, value]).toEqual([at, expect.anything()]);
        at += lengthBytes;
      }
      expect(at).toBe(bytes.length);
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('where the bytes end too early, the last one met has no value', () => {
  const fields = { ...fc.sample(values, { seed: SEED, numRuns: 1 })[0]!, groups: [{ key: new Uint8Array(2), more: [new Uint8Array(3)] }] };
  const bytes = writeFields(writer(), EVERY, { ...fields, left: new Uint8Array(0) }).finish();
  const met: Met[] = [];
  expect(() => readFields(reader(bytes.slice(0, -1)), EVERY, met)).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }));
  expect(met.at(-1)).toEqual({ name: 'groups[0].more[0]', offset: bytes.length - 5, lengthBytes: 0 });
});

test('what does not fit is a bug of the caller', () => {
  const bug = expect.objectContaining({ code: 'ERR_BUG' });
  expect(() => writeFields(writer(), { fixed: 4 }, { fixed: new Uint8Array(3) })).toThrow(bug);
  expect(() => writeFields(writer(), { list: { count: 'u8', each: 'u8' } }, { list: new Array(256).fill(0) })).toThrow(bug);
  expect(() => writeFields(writer(), { account: 'account' }, { account: '' })).toThrow(bug);
});
