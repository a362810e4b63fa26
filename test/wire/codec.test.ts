import { describe, expect, test } from 'vitest';
import { concat, u32 } from '../../src/bytes.js';
import { type Reader, reader, readHead, writeHead, writer } from '../../src/wire/codec.js';

const decodeError = (code: string, field?: string) => expect.objectContaining({ name: 'DecodeError', code, ...(field && { field }) });

describe('reader and writer', () => {
  test('every field comes back', () => {
    const bytes = writer()
      .u8(255)
      .u16(65_535)
      .u32(0xffff_ffff)
      .u64(Number.MAX_SAFE_INTEGER)
      .bytes(new Uint8Array([1, 2]), 2)
      .lp16(new Uint8Array([3]))
      .bytes(new Uint8Array([4, 5]))
      .finish();
    const from = reader(bytes);
    expect([from.u8(), from.u16(), from.u32(), from.u64()]).toEqual([255, 65_535, 0xffff_ffff, Number.MAX_SAFE_INTEGER]);
    expect([from.bytes(2), from.lp16(), from.rest()]).toEqual([new Uint8Array([1, 2]), new Uint8Array([3]), new Uint8Array([4, 5])]);
    expect(from.offset()).toBe(bytes.length);
    from.end();
  });

  test('what is read owns its buffer', () => {
    const source = new Uint8Array([0, 1, 9, 8, 7]);
    const from = reader(source);
    const parts = [from.lp16(), from.bytes(1), from.rest()];
    source.fill(0);
    expect(parts).toEqual([new Uint8Array([9]), new Uint8Array([8]), new Uint8Array([7])]);
    for (const part of parts) expect(part.buffer.byteLength).toBe(part.length);
  });

  test.each<[string, (from: Reader) => unknown, number]>([
    ['u8', (from) => from.u8(), 0],
    ['u16', (from) => from.u16(), 1],
    ['u32', (from) => from.u32(), 3],
    ['u64', (from) => from.u64(), 7],
    ['bytes', (from) => from.bytes(9), 8],
    ['lp16', (from) => from.lp16(), 1],
  ])('T50: %s of too few bytes is refused', (_name, read, length) => {
    for (let i = 0; i <= length; i++) expect(() => read(reader(new Uint8Array(i).fill(1)))).toThrow(decodeError('ERR_DECODE', 'length'));
  });

  test('a length prefix cannot reach behind the end', () => {
    expect(() => reader(new Uint8Array([0xff, 0xff, 1])).lp16()).toThrow(decodeError('ERR_DECODE', 'length'));
  });

  test('u64 above 2^53 - 1 is refused', () => {
    for (const high of [0x0020_0000, 0x8000_0000, 0xffff_ffff]) {
      expect(() => reader(concat(u32(high), u32(0))).u64()).toThrow(decodeError('ERR_DECODE', 'u64'));
      expect(() => reader(concat(u32(high), u32(0xffff_ffff))).u64()).toThrow(decodeError('ERR_DECODE', 'u64'));
    }
    expect(reader(concat(u32(0x001f_ffff), u32(0xffff_ffff))).u64()).toBe(Number.MAX_SAFE_INTEGER);
  });

  test('trailing bytes are refused', () => {
    expect(() => reader(new Uint8Array(1)).end()).toThrow(decodeError('ERR_DECODE', 'trailing bytes'));
  });

  test.each([[[]], [new Array(65).fill(97)], [[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]]])('account %j is refused', (account) => {
    const bytes = writer().lp16(new Uint8Array(account)).finish();
    expect(() => reader(bytes).account()).toThrow(decodeError('ERR_DECODE', 'accountId'));
  });

  test.each([0, 0x8000_0000, 0xffff_ffff])('device %i is refused', (device) => {
    expect(() => reader(u32(device)).device()).toThrow(decodeError('ERR_DECODE', 'deviceId'));
  });

  test('the writer refuses what does not fit', () => {
    const bug = expect.objectContaining({ code: 'ERR_BUG' });
    expect(() => writer().u8(256)).toThrow(expect.objectContaining({ code: 'ERR_BUG', got: 256, max: 255 }));
    expect(() => writer().u16(-1)).toThrow(bug);
    expect(() => writer().u32(1.5)).toThrow(bug);
    expect(() => writer().u64(2 ** 53)).toThrow(bug);
    expect(() => writer().u64(Number.NaN)).toThrow(bug);
    expect(() => writer().bytes(new Uint8Array(3), 4)).toThrow(expect.objectContaining({ code: 'ERR_BUG', got: 3, max: 4 }));
    expect(() => writer().lp16(new Uint8Array(65_536))).toThrow(bug);
  });

  test('T46: an unknown version or suite gives a typed error', () => {
    const head = writeHead(0x40).finish();
    expect(head).toEqual(new Uint8Array([0x40, 1, 0, 1]));
    readHead(reader(head), 0x40);
    expect(() => readHead(reader(head), 0x41)).toThrow(decodeError('ERR_DECODE', 'type'));
    expect(() => readHead(reader(new Uint8Array([0x40, 2, 0, 1])), 0x40)).toThrow(decodeError('ERR_VERSION', 'ver'));
    expect(() => readHead(reader(new Uint8Array([0x40, 1, 0, 2])), 0x40)).toThrow(decodeError('ERR_VERSION', 'suite'));
  });
});
