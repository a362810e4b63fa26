import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '../../src/bytes.js';
import { leafHash, merklePath, merkleRoot, type NodeHash, verifyMerklePath } from '../../src/pqxdh/merkle.js';
import { flip } from '../helpers/rng.js';

const sha = (algorithm: string, ...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(
    createHash(algorithm)
      .update(concat(...parts))
      .digest(),
  );
const leavesOf = (count: number) => Array.from({ length: count }, (_, i) => sha('sha512-256', new Uint8Array([i])));

describe('SHA-512/256 trees', () => {
  test('leaf: every field counts', () => {
    const batchId = new Uint8Array(8).fill(1);
    const unit = {
      index: 258,
      otId: new Uint8Array(8).fill(2),
      oneTimePrekey: new Uint8Array(32).fill(3),
      oneTimeKemPrekey: new Uint8Array(1568).fill(4),
    };
    const { otId, oneTimePrekey, oneTimeKemPrekey } = unit;
    expect(leafHash(batchId, unit)).toEqual(
      sha('sha512-256', new Uint8Array([0]), batchId, new Uint8Array([1, 2]), otId, oneTimePrekey, oneTimeKemPrekey),
    );
  });

  test('a path for every leaf of every count 1…128, and only for it', () => {
    for (let count = 1; count <= 128; count++) {
      const leaves = leavesOf(count);
      const root = merkleRoot(leaves);
      for (let index = 0; index < count; index++) {
        const path = merklePath(leaves, index);
        const leaf = leaves[index]!;
        expect(path.length).toBeLessThanOrEqual(7);
        expect(verifyMerklePath(leaf, index, count, path, root)).toBe(true);
        expect(verifyMerklePath(flip(leaf), index, count, path, root)).toBe(false);
        expect(verifyMerklePath(leaf, index, count, [...path, root], root)).toBe(false);
        expect(verifyMerklePath(leaf, index + 1, count, path, root)).toBe(false);
        if (path.length > 0) {
          expect(verifyMerklePath(leaf, index, count, path.slice(1), root)).toBe(false);
          expect(verifyMerklePath(leaf, index, count, path.slice(0, -1), root)).toBe(false);
          expect(verifyMerklePath(leaf, index, count, [...path.slice(0, -1), flip(path.at(-1)!)], root)).toBe(false);
        }
      }
      expect(verifyMerklePath(leaves[0]!, count, count, merklePath(leaves, 0), root)).toBe(false);
    }
  });

  test('a node is no leaf, and an odd leaf is not doubled', () => {
    const [a, b, c] = leavesOf(3) as [Uint8Array, Uint8Array, Uint8Array];
    expect(merkleRoot([a, b, c])).not.toEqual(merkleRoot([a, b, c, c]));
    expect(merkleRoot([a, b])).toEqual(sha('sha512-256', new Uint8Array([1]), a, b));
    expect(merkleRoot([merkleRoot([a, b]), c])).toEqual(merkleRoot([a, b, c]));
    expect(verifyMerklePath(merkleRoot([a, b]), 0, 3, [c], merkleRoot([a, b, c]))).toBe(false);
  });
});

const root = process.env['CYPHR_VECTORS'] ?? fileURLToPath(new URL('../../../shared/vectors', import.meta.url));
const file = (name: string): string => `${root}/merkle/${name}`;
const present = existsSync(file('rfc6962-tree.json'));

/** The published vectors are SHA-256 trees: the algorithm is the same. */
describe.skipIf(!present)('RFC 6962 vectors (skipped where CYPHR_VECTORS is missing)', () => {
  const hashNode: NodeHash = (left, right) => sha('sha256', new Uint8Array([1]), left, right);

  test('roots of 1 to 8 leaves', () => {
    const { leaf_inputs, roots_by_size } = JSON.parse(readFileSync(file('rfc6962-tree.json'), 'utf8')) as {
      leaf_inputs: string[];
      roots_by_size: string[];
    };
    const leaves = leaf_inputs.map((hex) => sha('sha256', new Uint8Array([0]), fromHex(hex)!));
    for (let count = 1; count <= leaves.length; count++) {
      const some = leaves.slice(0, count);
      expect(toHex(merkleRoot(some, hashNode))).toBe(roots_by_size[count]);
      for (let index = 0; index < count; index++) {
        expect(verifyMerklePath(some[index]!, index, count, merklePath(some, index, hashNode), merkleRoot(some, hashNode), hashNode)).toBe(
          true,
        );
      }
    }
  });

  test('inclusion proofs, good and bad', () => {
    interface Case {
      leafIdx: number;
      treeSize: number;
      root: string;
      leafHash: string;
      proof: string[] | null;
      desc: string;
      wantErr: boolean;
    }
    const { inclusion } = JSON.parse(readFileSync(file('rfc6962-proofs.json'), 'utf8')) as { inclusion: Case[] };
    const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
    // Batches have at most 128 leaves, and a leaf hash is always computed here, never received.
    const small = inclusion.filter(({ treeSize, leafHash: leaf }) => treeSize <= 128 && bytes(leaf).length === 32);
    expect(small.length).toBeGreaterThan(40);
    for (const { leafIdx, treeSize, root: wanted, leafHash: leaf, proof, desc, wantErr } of small) {
      const holds = verifyMerklePath(bytes(leaf), leafIdx, treeSize, (proof ?? []).map(bytes), bytes(wanted), hashNode);
      expect([desc, holds]).toEqual([desc, !wantErr]);
    }
  });
});
