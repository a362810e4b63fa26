import { mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

/** What mutants meet (`npm run mutation`): the tests of their own folder, and no others. */
const config = mergeConfig(base, { test: { maxWorkers: 1, setupFiles: ['test/helpers/mutation.ts'] } });
config.test.include = [`test/${process.env['CYPHR_MUTATE']?.split('/')[0]}/**/*.test.ts`];
export default config;
