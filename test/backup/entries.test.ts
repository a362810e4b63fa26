import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENTRY, type EntryType, encodeEnd, encodeEntry, entryReader } from '../../src/backup/entries.js';
import { concat } from '../../src/bytes.js';
import { limits } from '../../src/limits.js';
import { coded } from '../helpers/matchers.js';

const corrupt = coded('ERR_STORE_CORRUPT');
const of = (...types: EntryType[]): Uint8Array => concat(...types.map((type) => encodeEntry(type, new Uint8Array([1]))));
function readAll(bytes: Uint8Array): EntryType[] {
  const reader = entryReader();
  const types = reader.push(bytes).map(({ type }) => type);
  reader.finish();
  return types;
}

test('entries come back whole, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('contact' as const, 'history' as const), fc.uint8Array({ maxLength: 40 })), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      fc.nat(50),
      (given, cuts, padding) => {
        const ordered = [...given].sort(([a], [b]) => ENTRY[a] - ENTRY[b]);
        const all = [['account', new Uint8Array([7])] as const, ...ordered];
        const bytes = concat(...all.map(([type, content]) => encodeEntry(type, content)), encodeEnd(), new Uint8Array(padding));
        const reader = entryReader();
        const found = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const next = at + cuts[i % cuts.length]!;
          found.push(...reader.push(bytes.slice(at, next)));
          at = next;
        }
        reader.finish();
        expect(found.map(({ type, bytes: content }) => [type, content])).toEqual(all);
      },
    ),
  );
});

test.each<[string, Uint8Array]>([
  ['nothing', new Uint8Array(0)],
  ['no account', concat(of('contact'), encodeEnd())],
  ['no entry', encodeEnd()],
  ['two accounts', concat(of('account', 'account'), encodeEnd())],
  ['a contact after the history', concat(of('account', 'history', 'contact'), encodeEnd())],
  ['no end', of('account', 'contact')],
  ['an entry after the end', concat(of('account'), encodeEnd(), of('contact'))],
  ['something in the padding', concat(of('account'), encodeEnd(), new Uint8Array([0, 0, 1]))],
  ['an unknown type', concat(of('account'), new Uint8Array([4, 0, 0, 0, 0]), encodeEnd())],
  ['an end with a length', concat(of('account'), new Uint8Array([0, 0, 0, 0, 1]))],
  ['half an entry', of('account', 'contact').slice(0, -1)],
])('%s is refused', (_name, bytes) => {
  expect(() => readAll(bytes)).toThrow(corrupt);
});

test('an entry of any length is refused before it is waited for', () => {
  const head = new Uint8Array([ENTRY.history, 0xff, 0xff, 0xff, 0xff]);
  expect(() => readAll(concat(of('account'), head))).toThrow(corrupt);
  const longest = concat(of('account'), encodeEntry('history', new Uint8Array(limits.historyRecordBytes)), encodeEnd());
  expect(readAll(longest)).toEqual(['account', 'history']);
});

test('after a chunk that holds something in the padding nothing more is taken', () => {
  const reader = entryReader();
  reader.push(concat(of('account'), encodeEnd()));
  expect(() => reader.push(new Uint8Array([0, 1]))).toThrow(corrupt);
});
