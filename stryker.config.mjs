/**
 * Mutation testing, slow: `CYPHR_MUTATE=wire npm run mutation` mutates a folder of src/ (crypto, identity, pqxdh, ratchet, session, wire)
 * against the tests of that folder, `CYPHR_MUTATE=wire/codec.ts` a file of it. Results add up in reports/mutation/, and
 * `npm run mutation:report` tells them.
 */
const target = process.env.CYPHR_MUTATE;
if (target === undefined) throw new Error('CYPHR_MUTATE names a folder or file of src/');
const folder = target.split('/')[0];

/**
 * What an error tells people, no test pins; its code is what programs read, and is mutated. The English is the second argument of
 * `new XError(code, text)`, the name of a field the last one of `requireLength(bytes, lengthBytes, field)`.
 */
const shouldIgnore = ({ key, parent, parentPath }) => {
  if (key === 1 && parentPath.isNewExpression() && /Error$/.test(parent.callee.name)) return 'text of an error';
  if (key === 2 && parentPath.isCallExpression() && parent.callee.name === 'requireLength') return 'field of an error';
};
export const strykerPlugins = [{ kind: 'Ignore', name: 'error-texts', value: { shouldIgnore } }];

export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner', './stryker.config.mjs'],
  ignorers: ['error-texts'],
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  coverageAnalysis: 'perTest',
  mutate: [target.endsWith('.ts') ? `src/${target}` : `src/${target}/**/*.ts`, '!src/**/index.ts'],
  // Constants of modules: each would need every test anew. Vectors, test/docs.test.ts and the tests of other folders pin them.
  ignoreStatic: true,
  incremental: true,
  incrementalFile: `reports/mutation/${folder}-incremental.json`,
  ignorePatterns: ['/*', '!/src', '!/test', '!/test-vectors', '!/scripts', '!/*.json', '!/*.ts'],
  tempDirName: `.stryker-tmp/${folder}`,
  reporters: ['progress-append-only', 'clear-text', 'json', 'html'],
  clearTextReporter: { logTests: false, reportTests: false, allowEmojis: false, allowColor: false },
  jsonReporter: { fileName: `reports/mutation/${folder}.json` },
  htmlReporter: { fileName: `reports/mutation/${folder}.html` },
  concurrency: 1,
  timeoutMS: 5_000,
  timeoutFactor: 1.5,
  thresholds: { high: 95, low: 90, break: 90 },
};
