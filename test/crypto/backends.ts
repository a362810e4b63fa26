import type { Backend } from '../../src/crypto/backend/backend.js';
import { mlKem768Over } from '../../src/crypto/backend/ml-kem-768.js';
import { backend as noble } from '../../src/crypto/backend/noble.js';
import { backend as node } from '../../src/crypto/backend/node.js';

/** Both backends: noble everywhere, and what this runtime's node:crypto gives. */
export const BACKENDS: readonly (readonly [name: string, backend: Backend])[] = [
  ['noble', noble],
  ['node', node],
];

/** The same, and our own ML-KEM-768 over noble's Keccak: the platform's, where it has one, else stands before it. */
export const KEM_BACKENDS: typeof BACKENDS = [
  ...BACKENDS,
  ['own ML-KEM-768', { ...noble, mlKem768: { ...noble.mlKem768, ...mlKem768Over(noble.keccak) } }],
];
