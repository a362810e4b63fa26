import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findDamage } from '../../src/store/node/check.js';
import { crc32c } from '../../src/store/node/crc32c.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-node-check-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [FULL, FIRST, MIDDLE] = [1, 2, 3] as const;
const BLOCK_BYTES = 32_768;

/** A record of a LevelDB log, with the checksum that LevelDB would write. */
function logRecord(type: number, data: Uint8Array): Buffer {
  const record = Buffer.concat([Buffer.alloc(6), Buffer.from([type]), data]);
  const crc = crc32c(record.subarray(6));
  record.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0, 0);
  record.writeUInt16LE(data.length, 4);
  return record;
}

function directory(name: string, manifest: Uint8Array): string {
  const path = mkdtempSync(join(folder, name));
  writeFileSync(join(path, 'CURRENT'), 'MANIFEST-000002\n');
  writeFileSync(join(path, 'MANIFEST-000002'), manifest);
  return path;
}

test('T40: a number without an end in a manifest is damage, not a loop', async () => {
  for (const length of [11, 147, 180]) {
    const endless = Buffer.concat([Buffer.from([2]), Buffer.alloc(length, 0xff)]);
    expect(await findDamage(directory('number-', logRecord(FULL, endless)), true), String(length)).toBe('MANIFEST-000002');
  }
});

test('T40: a record in very many pieces costs what its bytes cost', async () => {
  const piece = logRecord(MIDDLE, new Uint8Array(0));
  const perBlock = Math.floor(BLOCK_BYTES / piece.length);
  const middle = Buffer.concat([...Array(perBlock).fill(piece), Buffer.alloc(BLOCK_BYTES - perBlock * piece.length)]);
  const first = Buffer.concat([logRecord(FIRST, new Uint8Array(BLOCK_BYTES - 7))]);
  // Quadratic work over these 400,000 pieces takes longer than a test may.
  const manifest = Buffer.concat([first, ...Array(86).fill(middle)]);
  expect(await findDamage(directory('pieces-', manifest), true)).toBe('MANIFEST-000002');
});
