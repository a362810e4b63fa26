/** The report of one run as data, and as the text of `report/README.md`. */

import type { ScenarioName, Sizes } from '../src/cli/scenarios.js';
import { SCENARIOS } from './contenders.js';
import type { Bundle } from './sizes.js';
import type { Spread } from './statistics.js';

/** Processor time of one scenario. */
export interface Figure {
  /** Median, microseconds. */
  readonly cpuUs: number;
  /** Median of the time that passed, microseconds: what else the machine did is in it. */
  readonly wallUs: number;
  /** Of the reference's processor time in the same round. */
  readonly ratio: Spread;
}
export interface Row {
  readonly id: string;
  readonly name: string;
  readonly times: Readonly<Record<string, Figure>>;
  readonly sizes: Sizes;
}
export interface Report {
  readonly run: {
    readonly date: string;
    readonly node: string;
    readonly platform: string;
    readonly cpu: string;
    readonly cpuCount: number;
    readonly rounds: number;
    readonly seconds: number;
    /** One-minute load average before and after; 1 of it is the run itself. */
    readonly load: readonly [number, number];
  };
  /** What was compared with, as installed. Empty if it could not be. */
  readonly peers: readonly { readonly name: string; readonly version: string; readonly licence: string }[];
  readonly rows: readonly Row[];
  readonly primitives: readonly Row[];
  readonly weights: readonly (Bundle & { readonly importMs: Spread })[];
}

const NONE = '–';
const digits = (value: number): string => (value >= 99.5 ? value.toFixed(0) : value >= 9.95 ? value.toFixed(1) : value.toFixed(2));
export const grouped = (value: number): string => value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',');
const micro = (value: number): string => (value < 99.5 ? value.toFixed(1) : grouped(value));
const withSpread = ({ median, low, high }: Spread): string => `**${digits(median)}** ${digits(low)}–${digits(high)}`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

function times(rows: readonly Row[], cell: (figure: Figure) => string): string {
  const names = Object.keys(SCENARIOS) as ScenarioName[];
  return table(
    ['', ...names.map((name) => SCENARIOS[name])],
    rows.map((row) => [row.name, ...names.map((name) => (row.times[name] === undefined ? NONE : cell(row.times[name]!)))]),
  );
}

function sizes(rows: readonly Row[]): string {
  const columns = {
    firstOverhead: 'first message',
    laterOverhead: 'later messages',
    bundle: 'fetched before',
    state: 'session',
    stateWithStoredKeys: 'session with 900 stored keys',
  } as const;
  const cell = (value: number | undefined): string => (value === undefined ? NONE : grouped(value));
  return table(
    ['', ...Object.values(columns)],
    rows.map(({ name, sizes }) => [
      name.replace(/,? node:crypto/, ''),
      ...(Object.keys(columns) as (keyof typeof columns)[]).map((column) => cell(sizes[column])),
    ]),
  );
}

/** The text. The same report gives the same text. */
export function render({ run, peers, rows, primitives, weights }: Report): string {
  const [node, noble] = primitives;
  const distinct = rows.filter(({ id }) => id !== 'again' && !/^noble-|^client-noble/.test(id));
  return `# Benchmark

Made by \`npm run bench\`; not edited by hand. ${run.date}, Node ${run.node}, ${run.platform}, ${run.cpuCount} cores (${run.cpu}), in ${grouped(run.seconds)} s.
The machine was shared: load average ${run.load[0].toFixed(1)} before, ${run.load[1].toFixed(1)} after, of which 1 is the run itself. Read ratios; absolute figures are this machine's on that day.

**How.** One process for each row, all alive from beginning to end, one slot at a time: A B C … A B C …, ${run.rounds} rounds, each beginning with another row, after some
that warm up the compilers. Figures are processor time of all threads of the process, so that waiting, and what else the machine does, is not in them. Each is divided by the
first row's in the same round; given are the **median** of these ratios and their quartiles. The last row is the first one once more: how far it is from 1 is noise.

Messages have 100 bytes. Sealing and opening are counted together, and both ends are in one process.

${peers.length === 0 ? 'The peers are left out: they could not be installed, or were not asked for.' : `Compared with, as installed from their packages, unchanged, and part of nothing that is shipped: ${peers.map(({ name, version, licence }) => `${name} ${version} (${licence})`).join(', ')}.`}

## Time, relative to the first row

${times(rows, ({ ratio }) => withSpread(ratio))}

![Time relative to the first row](time.svg)

## Time, microseconds of processor time

Medians over all rounds.

${times(rows, ({ cpuUs }) => micro(cpuUs))}

## Bytes

What a message has on the wire beyond its 100 bytes of plaintext, what its sender has to fetch first, and what is stored of a session. The same with both backends.

${sizes(distinct)}

![Bytes](bytes.svg)

## What it adds to an application

A browser's bundle, minified, with the WebAssembly that goes along; and processor time to import it in a fresh Node process until it can be used.

${table(
  ['', 'bytes', 'gzipped', 'import, ms'],
  weights.map(({ name, bytes, gzipBytes, importMs }) => [name, grouped(bytes), grouped(gzipBytes), withSpread(importMs)]),
)}

## Primitives of both backends, microseconds of processor time

${table(
  ['', ...primitives.map(({ name }) => name), 'noble / node:crypto'],
  Object.keys(node!.times).map((name) => [
    name,
    micro(node!.times[name]!.cpuUs),
    micro(noble!.times[name]!.cpuUs),
    withSpread(noble!.times[name]!.ratio),
  ]),
)}

## What is not comparable

- **What they do.** This SDK signs handshake and prekeys with ML-DSA-65 and Ed25519 together, encrypts headers, pads to 512 bytes, commits to keys, and runs an
  ML-KEM-768 ratchet on every message. libsignal has the post-quantum handshake and ratchet, and classical signatures; it leaves padding and hiding headers to the
  application. Olm is classical throughout. A faster row that does less is not faster at the same thing.
- **libsignal** is native code, called asynchronously; its stores here keep records as objects, as an application with a cache would. This SDK's ML-KEM and ML-DSA
  are JavaScript on Node 20 and 22; from Node 24 on decapsulation and verification are native.
- **Olm** is WebAssembly from libolm, which is deprecated in favour of vodozemac. It keeps 40 keys of a gap: one of 900 can't be opened, and its message behind 900
  missing ones stores 40. Its messages are base64; the bytes behind are counted, on the wire they are a third more.
- **ts-mls** is a group of two in the suite X-Wing, AES-256-GCM, Ed25519. MLS renews keys by commits, not by messages: its ping-pong heals nothing, unlike everybody
  else's; the row with a commit before each message does, and only there. Every message is signed. It keeps 10 keys of a gap by default; here it was told 1,000. Its
  symmetric cryptography is WebCrypto's, asynchronous, on other threads.
- **The whole client** sends, commits, delivers, decrypts, commits and acknowledges, over a store and a network in memory. Compare it with nothing but its
  own sessions: a client on top of libsignal or Olm would add its own. Its first message is sealed to the recipient, the sessions' rows are not.
  It sleeps and wakes several times for each message, and on a busy machine each time finds its caches cold: its figures suffer most from what else runs.
- **Saving.** Sessions stay decoded between messages in every row. Who stores after each message adds a part of the last column; this SDK's client stores keys of
  a gap apart, so that they are not written again each time.
- **Threads.** Processor time hides what asynchronous calls wait: \`report.json\` has the time that passed as well.
- **Sizes of bundles.** libsignal has none: given is its native file, for this platform. The client includes queue, storage, transport and devices, which the others leave to the application.
`;
}
