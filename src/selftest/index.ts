/**
 * The self-test: `@cyphr/e2ee/selftest`. Whether this library, on this runtime, with the backend that it chose here, gives the answers that it
 * must: known ones of every primitive, some of the project's test vectors, and live conversations with fresh keys.
 */

import { toHex } from '../bytes.js';
import { clientClock, clientRng } from '../client/platform.js';
import type { Backend } from '../crypto/backend/backend.js';
import { backend } from '../crypto/backend/chosen.js';
import { backend as noble } from '../crypto/backend/noble.js';
import { seededRng } from '../testing/rng.js';
import { PLAYERS } from '../vectors/play.js';
import { playCase } from '../vectors/player.js';
import type { JsonObject, VectorCase } from '../vectors/schema.js';
import { CASES } from './cases.js';
import type { Answers } from './check.js';
import { converse } from './conversation.js';
import { primitiveAnswers } from './primitives.js';

/** One test. */
export interface SelftestResult {
  readonly group: 'primitive' | 'layer' | 'conversation';
  readonly name: string;
  readonly ok: boolean;
  /** Answers that were compared, cases that were played, messages that were read. */
  readonly count: number;
  readonly ms: number;
  /** What went wrong; never a key or a plaintext. */
  readonly why?: string;
}

/** Who computes an operation here, and why. */
export interface SelftestBackend {
  readonly operation: string;
  readonly by: 'platform' | 'javascript';
  readonly why: string;
}

/** What came of it. */
export interface SelftestReport {
  /** Every test passed. */
  readonly ok: boolean;
  readonly ms: number;
  /** What the conversations' keys and faults were made of: the same seed makes the same ones. */
  readonly seed: string;
  readonly backend: readonly SelftestBackend[];
  readonly tests: readonly SelftestResult[];
}

/** Options of `selftest`. */
export interface SelftestOptions {
  /** Called before each test, with those that are done and their number. */
  readonly progress?: ((done: number, total: number, name: string) => void) | undefined;
  /** Of an earlier report, to repeat its conversations; fresh otherwise. */
  readonly seed?: string | undefined;
}

interface Test {
  readonly group: SelftestResult['group'];
  readonly name: string;
  run(): Answers;
}

/**
 * Runs the self-test; takes some seconds, in steps between which the runtime may do other things. Needs no network and no store, and keeps
 * nothing. A test that fails is in the report: it does not reject, but with `ERR_ARGUMENT` (`field: 'rng'`) where the platform has no
 * random generator, and with what `progress` throws.
 *
 * @example
 * const { ok, tests } = await selftest();
 * if (!ok) throw new Error(tests.filter((test) => !test.ok).map(({ name }) => name).join(', '));
 */
export async function selftest({ progress, seed = toHex(clientRng(undefined)(16)) }: SelftestOptions = {}): Promise<SelftestReport> {
  const now = clientClock();
  const startMs = now();
  const all = testsOf(seed, startMs);
  const tests: SelftestResult[] = [];
  for (const test of all) {
    progress?.(tests.length, all.length, test.name);
    await new Promise((resolve) => setTimeout(resolve));
    const beganMs = now();
    const { count, why } = attempt(test);
    const { group, name } = test;
    tests.push({ group, name, ok: why === undefined, count, ms: now() - beganMs, ...(why !== undefined && { why }) });
  }
  return { ok: tests.every(({ ok }) => ok), ms: now() - startMs, seed, backend: backendOf(backend), tests };
}

function attempt(test: Test): Answers {
  try {
    return test.run();
  } catch (error) {
    return { count: 0, why: error instanceof Error ? error.message : String(error) };
  }
}

function testsOf(seed: string, nowMs: number): Test[] {
  const primitives = Object.entries(primitiveAnswers(backend)).map(([name, run]): Test => ({ group: 'primitive', name, run }));
  const layers = CASES.map((text): Test => {
    const { kind, given, cases } = JSON.parse(text) as { kind: string; given: JsonObject; cases: readonly VectorCase[] };
    return { group: 'layer', name: kind, run: () => play(kind, given, cases) };
  });
  const conversations = ([1, 2, 3] as const).map(
    (profile): Test => ({
      group: 'conversation',
      name: `profile ${profile}`,
      run: () => converse(profile, seededRng(`${seed}/${profile}`), nowMs),
    }),
  );
  return [...primitives, ...layers, ...conversations];
}

function play(kind: string, given: JsonObject, cases: readonly VectorCase[]): Answers {
  for (const vector of cases) {
    const why = playCase(PLAYERS[kind]!, given, vector);
    if (why !== undefined) return { count: cases.length, why: `${vector.id}: ${why}` };
  }
  return { count: cases.length };
}

/** The operations that a platform may have: those of the backend, each held against the one in JavaScript. */
function backendOf(chosen: Backend): SelftestBackend[] {
  const operations: Readonly<Record<string, (of: Backend) => unknown>> = {
    'SHA-3': (of) => of.keccak,
    X25519: (of) => of.x25519,
    'Ed25519 signing': (of) => of.ed25519Sign,
    'Ed25519 verification': (of) => of.ed25519Verify,
    'ML-KEM-768 decapsulation': (of) => of.mlKem768.decapsulate,
    'ML-KEM-768 encapsulation': (of) => of.mlKem768.encapsulate,
    'ML-KEM-1024 decapsulation': (of) => of.mlKem1024.decapsulate,
    'ML-KEM-1024 encapsulation': (of) => of.mlKem1024.encapsulate,
    'ML-DSA-65 signing': (of) => of.mlDsa65Sign,
    'ML-DSA-65 verification': (of) => of.mlDsa65Verify,
  };
  const isAlwaysOurs = (operation: string): boolean => /encapsulation|DSA-65 signing/.test(operation);
  return Object.entries(operations).map(([operation, of]) => {
    if (of(chosen) !== of(noble)) return { operation, by: 'platform', why: 'it has it, or what it needs, and gave the known answers' };
    const why = isAlwaysOurs(operation)
      ? 'a platform would draw the randomness itself'
      : chosen === noble
        ? 'no platform is asked here'
        : 'the platform lacks it, or gave other answers';
    return { operation, by: 'javascript', why };
  });
}
