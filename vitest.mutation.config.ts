import { mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

/** What mutants meet (`npm run mutation`): the tests of their own folder, and no others. */
const config = mergeConfig(base, { test: { maxWorkers: 1 } });
config.test.include = [`test/${process.env['CYPHR_MUTATE']}/**/*.test.ts`];
export default config;
