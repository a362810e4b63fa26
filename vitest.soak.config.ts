import { mergeConfig } from 'vitest/config';
import base from './vitest.config.js';

/** The slow lane: `npm run soak`. */
const config = mergeConfig(base, { test: { testTimeout: 30 * 60_000 } });
config.test.include = ['test/**/*.soak.ts'];
export default config;
