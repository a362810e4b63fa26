// Mutation testing of one folder of src/, slow: `CYPHR_MUTATE=wire npm run mutation`, then crypto, pqxdh, ratchet. Reports go to reports/mutation/.
const folder = process.env.CYPHR_MUTATE;
if (folder === undefined) throw new Error('CYPHR_MUTATE names the folder of src/ that is mutated, and whose tests mutants meet');

export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts' },
  coverageAnalysis: 'perTest',
  mutate: [`src/${folder}/**/*.ts`, '!src/**/index.ts'],
  // Constants of modules: each would need every test anew. Vectors and test/docs.test.ts pin them.
  ignoreStatic: true,
  incremental: true,
  incrementalFile: `reports/mutation/${folder}-incremental.json`,
  tempDirName: '.stryker-tmp',
  reporters: ['clear-text', 'json', 'html'],
  jsonReporter: { fileName: `reports/mutation/${folder}.json` },
  htmlReporter: { fileName: `reports/mutation/${folder}.html` },
  concurrency: 2,
  timeoutMS: 20_000,
  thresholds: { high: 95, low: 90, break: 90 },
};
