/** Every file of test vectors that is made from seeds, and how it stands on the disk. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { VectorFile } from '../../src/vectors/schema.js';
import { braidVectors } from './braid.js';
import { bundleVectors, prekeyBatchVectors } from './bundles.js';
import { compositeVectors, incrementalKemVectors, sealVectors } from './crypto.js';
import { handshakeVectors } from './handshake.js';
import { deviceListVectors, loginVectors, safetyVectors } from './identity.js';
import { layoutVectors } from './layouts.js';
import { linkingVectors } from './linking.js';
import { erasureVectors, msgpackVectors, paddingVectors } from './plain.js';
import { headerVectors, ratchetKeysVectors } from './ratchet-keys.js';
import { rootStatementVectors } from './root-statement.js';
import { conversationVectors, ratchetVectors, skippedKeysVectors } from './sessions.js';

/** The folder of all vectors. */
export const FOLDER = new URL('../../test-vectors/', import.meta.url);

/** A file as it stands there, or `undefined` if it is none of this schema. */
export function readVectors(name: string): VectorFile | undefined {
  try {
    const file = JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as VectorFile;
    return 'schema' in file ? file : undefined;
  } catch {
    return undefined;
  }
}

/** A file's text: a case, or a step, is one line, so that a change shows where it is. */
export function textOf({ cases, ...head }: VectorFile): string {
  const lines = cases.map(({ steps, ...own }) => {
    const line = JSON.stringify(own);
    return steps === undefined
      ? line
      : `${line.slice(0, -1)},"steps":[\n${steps.map((step) => `  ${JSON.stringify(step)}`).join(',\n')}\n ]}`;
  });
  return `${JSON.stringify(head, null, 1).slice(0, -2)},\n "cases": [\n ${lines.join(',\n ')}\n ]\n}\n`;
}

/** SHA-256 of a file's text, in hexadecimal. */
export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Files that never change again, with their hashes: lines of `test-vectors/RELEASED`, as sha256sum writes and checks them. */
export function releasedHashes(): Map<string, string> {
  const lines = readFileSync(new URL('RELEASED', FOLDER), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

/** Throws if `text` would change a file that is released. */
export function requireWritable(name: string, text: string): void {
  const hash = releasedHashes().get(name);
  if (hash !== undefined && hash !== sha256Of(text)) throw new Error(`${name} is released and would change: it needs a new file beside it`);
}

/** Makers by file name. */
export const FILES: Readonly<Record<string, () => VectorFile>> = {
  'braid.json': braidVectors,
  'bundle.json': bundleVectors,
  'composite.json': compositeVectors,
  'conversation-1.json': () => conversationVectors(1),
  'conversation-2.json': () => conversationVectors(2),
  'conversation-3.json': () => conversationVectors(3),
  'device-list.json': deviceListVectors,
  'erasure.json': erasureVectors,
  'handshake.json': handshakeVectors,
  'header.json': headerVectors,
  'incremental-kem.json': incrementalKemVectors,
  'layouts.json': layoutVectors,
  'linking.json': linkingVectors,
  'login.json': loginVectors,
  'msgpack.json': msgpackVectors,
  'padding.json': paddingVectors,
  'prekey-batch.json': prekeyBatchVectors,
  'ratchet.json': ratchetVectors,
  'ratchet-keys.json': ratchetKeysVectors,
  'root-statement.json': () => rootStatementVectors(readVectors('root-statement.json')),
  'safety-number.json': safetyVectors,
  'seal.json': sealVectors,
  'skipped-keys.json': skippedKeysVectors,
};
