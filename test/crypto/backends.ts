import type { Backend } from '../../src/crypto/backend/backend.js';
import { backend as noble } from '../../src/crypto/backend/noble.js';
import { backend as node } from '../../src/crypto/backend/node.js';

/** Both backends: noble everywhere, and what this runtime's node:crypto gives. */
export const BACKENDS: readonly (readonly [name: string, backend: Backend])[] = [
  ['noble', noble],
  ['node', node],
];
