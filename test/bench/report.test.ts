import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { chart } from '../../bench/chart.js';
import { bytesChart, timeChart } from '../../bench/charts.js';
import { AGAIN, CONTENDERS, PRIMITIVES, REFERENCE, SCENARIOS } from '../../bench/contenders.js';
import { type Report, render } from '../../bench/report.js';
import { WEIGHED } from '../../bench/sizes.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const report = JSON.parse(read('bench/report/report.json')) as Report;
const row = (id: string): Report['rows'][number] => report.rows.find((each) => each.id === id)!;

const ALL = Object.keys(SCENARIOS);
/** Who is not measured in everything, and why stands in the report. */
const PARTLY: Readonly<Record<string, readonly string[]>> = {
  olm: ALL.filter((name) => name !== 'late'),
  'mls-commits': ['pingPong'],
  'client-node': ['establish', 'oneWay', 'pingPong'],
  'client-noble': ['establish', 'oneWay', 'pingPong'],
};

test('the committed report has every row, and every figure of it', () => {
  expect(report.rows.map(({ id, name }) => [id, name])).toEqual(CONTENDERS.map(({ id, name }) => [id, name]));
  for (const { id, times } of report.rows) expect(Object.keys(times).sort(), id).toEqual([...(PARTLY[id] ?? ALL)].sort());
  expect(report.primitives.map(({ id }) => id)).toEqual(PRIMITIVES.map(({ id }) => id));
  expect(report.weights.map(({ name }) => name)).toEqual(WEIGHED.map(({ name }) => name));
  const figures = [...report.rows, ...report.primitives].flatMap(({ times }) => Object.values(times));
  for (const { cpuUs, wallUs, ratio } of figures) {
    expect(Math.min(cpuUs, wallUs, ratio.low)).toBeGreaterThan(0);
    expect(ratio.low <= ratio.median && ratio.median <= ratio.high).toBe(true);
  }
});

test('it was run with enough rounds, and the noise is small', () => {
  expect(report.run.rounds).toBeGreaterThanOrEqual(20);
  for (const { ratio } of Object.values(row(REFERENCE).times)) expect(ratio).toEqual({ median: 1, low: 1, high: 1 });
  // The reference beside itself: nothing that README says rests on more than 15 %, and elsewhere the spread says how much it is.
  for (const name of ['establish', 'oneWay', 'pingPong'])
    expect(Math.abs(Math.log(row(AGAIN.id).times[name]!.ratio.median)), name).toBeLessThan(0.15);
  for (const [name, { ratio }] of Object.entries(row(AGAIN.id).times)) expect(ratio.low <= 1 && 1 <= ratio.high, name).toBe(true);
});

test('text and charts are made of the data, and of nothing else', () => {
  expect(read('bench/report/README.md')).toBe(render(report));
  expect(read('bench/report/time.svg')).toBe(timeChart(report));
  expect(read('bench/report/bytes.svg')).toBe(bytesChart(report));
});

test('each peer is named with its version and licence, and nobody is compared who is not', () => {
  const lock = JSON.parse(read('bench/peers/package-lock.json')) as { packages: Record<string, { version: string; license: string }> };
  expect(report.peers.map(({ name }) => name).sort()).toEqual([...new Set(CONTENDERS.flatMap(({ peer }) => peer ?? []))].sort());
  for (const { name, version, licence } of report.peers) {
    expect(lock.packages[`node_modules/${name}`]).toMatchObject({ version, license: licence });
    expect(render(report)).toContain(`${name} ${version} (${licence})`);
  }
  const alone = {
    ...report,
    peers: [],
    rows: report.rows.filter(({ id }) => CONTENDERS.find((each) => each.id === id)!.peer === undefined),
  };
  expect(render(alone)).toContain('could not be installed');
});

test('a chart draws every bar within its column, and escapes what it is told', () => {
  const bars = [0.01, 1, 250].map((value) => ({
    label: 'a & b',
    value,
    low: value / 2,
    high: value * 2,
    text: '<x>',
    tone: 'own' as const,
  }));
  const svg = chart('t', 'n', [
    { title: 'one', bars, reference: 1 },
    { title: 'two', bars },
  ]);
  expect(svg).toContain('a &#38; b');
  expect(svg).not.toContain('<x>');
  const rects = [...svg.matchAll(/<rect class="own" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/g)].map(
    ([, x, width]) => [Number(x), Number(width)] as const,
  );
  expect(rects).toHaveLength(6);
  for (const [x, width] of rects) {
    expect(width).toBeGreaterThan(0);
    expect(x + width).toBeLessThanOrEqual(x < 500 ? 500 : 1_000);
  }
});

const text = read('README.md').replace(/\s+/g, ' ');
const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]?.replace(',', ''));

test('README’s speeds are the report’s, rounded', () => {
  const times = (id: string, name: string): number => row(id).times[name]!.ratio.median;
  const claims: readonly (readonly [RegExp, number])[] = [
    [/one way, a message takes ([\d.]+) times as long as with libsignal/, 1 / times('libsignal', 'oneWay')],
    [/where both sides write, ([\d.]+) times; one behind/, 1 / times('libsignal', 'pingPong')],
    [/one behind 900 missing ones ([\d.]+) times;/, 1 / times('libsignal', 'jump')],
    [/a session with its first message ([\d.]+) times,/, 1 / times('libsignal', 'establish')],
    [/as in browsers, ping-pong takes ([\d.]+) times as long/, times('noble-standard', 'pingPong')],
    [/takes ([\d.]+) times its sessions one way/, times('client-node', 'oneWay')],
    [/its sessions one way, and ([\d.]+) times where both sides write/, times('client-node', 'pingPong')],
  ];
  for (const [pattern, measured] of claims) {
    expect(number(pattern) / measured, `${pattern}: ${measured}`).toBeGreaterThan(0.85);
    expect(number(pattern) / measured, `${pattern}: ${measured}`).toBeLessThan(1.15);
  }
});

test('README’s sizes are the report’s', () => {
  const message = (id: string): number => row(id).sizes.laterOverhead + 100;
  expect(number(/smallest message is ([\d,]+) bytes/)).toBe(message('node-standard'));
  expect(number(/smallest message is [\d,]+ bytes \(([\d,]+) on slow carriers/)).toBe(message('node-lean'));
  expect(number(/on slow carriers; ([\d,]+) with the largest chunks/)).toBe(message('node-wide'));
  expect(number(/a first one ([\d,]+)\./)).toBe(row('client-node').sizes.firstOverhead + 100);
  expect(number(/fetches (\d+) kB of keys/)).toBe(Math.round(row('node-standard').sizes.bundle! / 1_000));
  expect(number(/libsignal's messages add about ([\d,]+) bytes/) / row('libsignal').sizes.laterOverhead).toBeCloseTo(1, 1);
  expect(number(/its first one ([\d.]+) kB/)).toBeCloseTo(row('libsignal').sizes.firstOverhead / 1_000, 1);
});
