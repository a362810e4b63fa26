/**
 * `bench`: a short look at how long this library takes on this machine. The comparison with others, with its spread, is `bench/` of the
 * repository.
 */

import { clientClock, clientRng } from '../client/platform.js';
import { UsageError } from '../errors.js';
import type { Given } from './commands.js';
import { type ScenarioName, slotsOf } from './scenarios.js';
import { sessionSubject } from './session-subject.js';
import { cpuMs, progressBar, runAgain, runsUnder, say } from './terminal.js';

/** Milliseconds of processor time for one of each, sender and recipient together; medians. */
export interface BenchRow {
  /** `platform`: what this runtime's cryptography has, is its own. */
  readonly backend: 'platform' | 'javascript';
  readonly profile: 1 | 2 | 3;
  readonly establishMs: number;
  readonly oneWayMs: number;
  readonly pingPongMs: number;
}

const PROFILES = [1, 2, 3] as const;
const SCENARIOS = ['establish', 'oneWay', 'pingPong'] as const satisfies readonly ScenarioName[];
const ROUNDS = 5;
const MOST_ROUNDS = 99;
/** Slots are this much shorter than those of the comparison. */
const DIVIDE = 4;
/** The condition of package.json under which JavaScript computes everything. */
const ALONE = 'cyphr-noble';

/** Measures both backends: the second one in a process of its own, as a process has one. Throws `ERR_ARGUMENT` for bad `rounds`. */
export async function bench({ json: isJson = false, rounds: typed = String(ROUNDS) }: Given): Promise<boolean> {
  const rounds = Number(typed);
  if (!(Number.isInteger(rounds) && rounds % 2 === 1 && rounds <= MOST_ROUNDS)) {
    throw new UsageError('ERR_ARGUMENT', `rounds must be an odd number up to ${MOST_ROUNDS}`, { field: 'rounds' });
  }
  const isAlone = runsUnder(ALONE);
  const bar = progressBar(PROFILES.length + (isAlone ? 0 : 1), isJson);
  const rows: BenchRow[] = [];
  for (const profile of PROFILES) {
    bar.next(`profile ${profile}`);
    rows.push({ backend: isAlone ? 'javascript' : 'platform', profile, ...(await measured(profile, rounds)) });
  }
  if (!isAlone) {
    bar.next('JavaScript alone');
    const said = await runAgain(ALONE, ['bench', '--json', '--rounds', typed]);
    rows.push(...(JSON.parse(said) as { rows: BenchRow[] }).rows);
  }
  bar.stop();
  if (isJson) say(JSON.stringify({ rows }));
  else for (const line of linesOf(rows, rounds)) say(line);
  return true;
}

async function measured(profile: 1 | 2 | 3, rounds: number): Promise<Pick<BenchRow, 'establishMs' | 'oneWayMs' | 'pingPongMs'>> {
  const slots = slotsOf(sessionSubject(profile, clientRng(undefined), clientClock()()), DIVIDE);
  const times: Record<(typeof SCENARIOS)[number], number[]> = { establish: [], oneWay: [], pingPong: [] };
  // The first round warms up the compilers.
  for (let round = 0; round <= rounds; round++) {
    for (const name of SCENARIOS) {
      const { prepare, count } = slots[name]!;
      const run = await prepare();
      const before = cpuMs();
      await run();
      if (round > 0) times[name].push((cpuMs() - before) / count);
    }
  }
  return { establishMs: median(times.establish), oneWayMs: median(times.oneWay), pingPongMs: median(times.pingPong) };
}

/** Of an odd number, to three digits. */
function median(values: readonly number[]): number {
  return Number([...values].sort((a, b) => a - b)[(values.length - 1) / 2]!.toPrecision(3));
}

function linesOf(rows: readonly BenchRow[], rounds: number): string[] {
  const cells = (...words: readonly (string | number)[]): string => words.map((word) => String(word).padStart(12)).join('');
  return [
    cells('computed by', 'profile', 'session', 'one way', 'ping-pong'),
    ...rows.map(({ backend, profile, establishMs, oneWayMs, pingPongMs }) => cells(backend, profile, establishMs, oneWayMs, pingPongMs)),
    '',
    'Milliseconds of processor time, sender and recipient together: a session with its first message; a message of 100 bytes to one who does',
    `not answer; a message where each answers the other. Medians of ${rounds} rounds.`,
  ];
}
