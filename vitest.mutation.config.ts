import { mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

const folder = process.env['CYPHR_MUTATE']?.split('/')[0];

/** What mutants meet (`npm run mutation`): the tests of their own folder, and no others but these. */
const elsewhere: Readonly<Record<string, readonly string[]>> = {
  // SLH-DSA has one user, and its vectors.
  crypto: ['test/identity/root.test.ts', 'test/vectors/acvp.test.ts'],
};
const config = mergeConfig(base, { test: { maxWorkers: 1, setupFiles: ['test/helpers/mutation.ts'] } });
config.test.include = [`test/${folder}/**/*.test.ts`, ...(elsewhere[folder ?? ''] ?? [])];
// It loads modules within a test, so that it would stand for the constants in them; yet it only compares the library with itself.
config.test.exclude = ['test/crypto/cross-backend.test.ts'];
export default config;
