/** Who is measured: what `npm run bench` starts, one process each. */

import type { ScenarioName } from '../src/cli/scenarios.js';

export interface Contender {
  readonly id: string;
  readonly name: string;
  /** What `host.ts` loads, and what that is given; `divide` makes slots shorter. */
  readonly module: string;
  readonly options: { readonly divide?: number; readonly [option: string]: unknown };
  /** Conditions of package.json's `imports`: which backend. */
  readonly conditions?: readonly string[];
  /** Package below `peers/` that has to be installed. */
  readonly peer?: string;
  /** Where the rest says nothing that another row doesn't. */
  readonly only?: readonly ScenarioName[];
}

const NOBLE = ['cyphr-noble'];
const PROFILES = { standard: 1, lean: 2, wide: 3 } as const;
const SESSIONS: readonly Contender[] = Object.entries(PROFILES).flatMap(([name, profile]) => [
  { id: `node-${name}`, name: `this SDK, node:crypto, ${name}`, module: './session.ts', options: { profile } },
  { id: `noble-${name}`, name: `this SDK, noble, ${name}`, module: './session.ts', options: { profile }, conditions: NOBLE },
]);

/** The row that all others are divided by, round by round. */
export const REFERENCE = 'node-standard';
/** The same once more in a process of its own: what its ratio differs from 1 is noise. */
export const AGAIN: Contender = { ...SESSIONS.find(({ id }) => id === REFERENCE)!, id: 'again', name: 'the first row once more (noise)' };

/** In the order of the report. */
export const CONTENDERS: readonly Contender[] = [
  ...SESSIONS,
  { id: 'libsignal', name: 'libsignal', module: './peers/libsignal.mjs', options: {}, peer: '@signalapp/libsignal-client' },
  { id: 'olm', name: 'Olm', module: './peers/olm.mjs', options: {}, peer: '@matrix-org/olm' },
  { id: 'mls', name: 'ts-mls', module: './peers/mls.mjs', options: {}, peer: 'ts-mls' },
  {
    id: 'mls-commits',
    name: 'ts-mls, a commit with every message',
    module: './peers/mls.mjs',
    options: { commits: true, divide: 10 },
    peer: 'ts-mls',
    only: ['pingPong'],
  },
  { id: 'client-node', name: 'this SDK’s whole client, node:crypto', module: './client.ts', options: { divide: 2 } },
  { id: 'client-noble', name: 'this SDK’s whole client, noble', module: './client.ts', options: { divide: 2 }, conditions: NOBLE },
  AGAIN,
];

/** The primitives of both backends, side by side as everything else. */
export const PRIMITIVES: readonly Contender[] = [
  { id: 'node', name: 'node:crypto', module: './primitives.ts', options: {} },
  { id: 'noble', name: 'noble', module: './primitives.ts', options: {}, conditions: NOBLE },
];

/** Scenarios in the order of the report, with what a slot's figure is of. */
export const SCENARIOS: Readonly<Record<ScenarioName, string>> = {
  establish: 'session with first message',
  oneWay: 'message, one way',
  pingPong: 'message, ping-pong',
  jump: 'message behind 900 missing ones',
  late: 'one of these 900, later',
  restore: 'session saved and loaded',
};
