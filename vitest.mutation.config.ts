import { mergeConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import base from './vitest.config.js';

const target = process.env['CYPHR_MUTATE'];
const folder = target?.split('/')[0];

/** Tests that mutants of a folder meet besides its own. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  // SLH-DSA has one user.
  crypto: ['test/identity/root.test.ts'],
};

/** Tests of the folder that they do not meet. */
const LEFT_OUT = [
  // It loads modules within a test, so that it would stand for the constants in them; yet it compares the library with itself.
  'test/crypto/cross-backend.test.ts',
  // They say of whole conversations, in ten times the time, what the tests of single steps say of these.
  'test/ratchet/{,braid/}{late,model,soak}.test.ts',
];

/** Slow ones come last, and a file's own tests first: most mutants die before the rest. */
const LAST = ['test/identity/', 'differential', 'passphrase', 'ml-kem', 'interoperability', 'braid/machine', 'bounds'];

class SlowLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const own = `/test/${target?.replace('.ts', '.test.ts')}`;
    const rank = ({ moduleId }: TestSpecification): number =>
      moduleId.endsWith(own) ? -2 : LAST.findIndex((part) => moduleId.includes(part));
    return files.sort((a, b) => rank(a) - rank(b));
  }
}

/** What mutants meet (`npm run mutation`): the tests of their own folder, but for what stands above. */
const config = mergeConfig(base, {
  test: { maxWorkers: 1, sequence: { sequencer: SlowLast }, setupFiles: ['test/helpers/mutation.ts'], exclude: LEFT_OUT },
});
config.test.include = [`test/${folder}/**/*.test.ts`, ...(ELSEWHERE[folder ?? ''] ?? [])];
export default config;
