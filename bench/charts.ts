/** What the report's two charts show. */

import type { Sizes } from '../src/cli/scenarios.js';
import { type Bar, chart, type Panel } from './chart.js';
import { SCENARIOS } from './contenders.js';
import { grouped, type Report, type Row } from './report.js';

const toneOf = ({ id }: Row): Bar['tone'] => (id.startsWith('node-') ? 'own' : /^noble-|^client-/.test(id) ? 'ownOther' : 'peer');
const shortName = ({ id, name }: Row): string =>
  id === 'mls-commits' ? 'ts-mls, with commits' : name.replace('this SDK’s whole', 'whole').replace('this SDK, ', '');
const factor = (value: number): string => `${value >= 9.95 ? value.toFixed(0) : value.toFixed(2)}×`;

/** Time of each scenario, relative to the first row. */
export function timeChart({ rows, run }: Report): string {
  const panels = Object.entries(SCENARIOS).map(([name, title]): Panel => {
    const bars = rows.flatMap((row): Bar[] => {
      const ratio = row.id === 'again' ? undefined : row.times[name]?.ratio;
      return ratio === undefined
        ? []
        : [{ label: shortName(row), value: ratio.median, low: ratio.low, high: ratio.high, text: factor(ratio.median), tone: toneOf(row) }];
    });
    return { title, bars, reference: 1 };
  });
  const note = `Medians and quartiles of ratios, ${run.rounds} interleaved rounds, Node ${run.node}; logarithmic, from the first row to both sides.`;
  return chart('Processor time relative to this SDK’s sessions (node:crypto, standard): to the left is faster', note, panels);
}

/** Bytes on the wire, in the store and in a browser's bundle. */
export function bytesChart({ rows, weights }: Report): string {
  const sizes: Readonly<Record<string, keyof Sizes>> = {
    'first message, beyond its plaintext': 'firstOverhead',
    'later messages, beyond their plaintext': 'laterOverhead',
    session: 'state',
    'session with 900 stored keys': 'stateWithStoredKeys',
  };
  const shown = rows.filter(({ id }) => !/^noble-|^client-noble|^again$/.test(id));
  const panels = Object.entries(sizes).map(([title, size]): Panel => {
    const bars = shown.flatMap((row): Bar[] => {
      const value = row.sizes[size];
      return value === undefined
        ? []
        : [
            {
              label: row.name
                .replace(/,? node:crypto/, '')
                .replace('this SDK’s ', '')
                .replace('a commit with every message', 'with commits'),
              value,
              text: `${grouped(value)} B`,
              tone: toneOf(row),
            },
          ];
    });
    return { title, bars };
  });
  // A native file is no bundle, and would make a point of all others: the table has it.
  const bundles = weights.flatMap(({ name, gzipBytes, isNative }): Bar[] => {
    const label = name.replace(/,? with .*/, '');
    return isNative
      ? []
      : [{ label, value: gzipBytes, text: `${grouped(gzipBytes / 1_000)} kB`, tone: name.startsWith('this SDK') ? 'own' : 'peer' }];
  });
  return chart('Bytes: shorter is smaller', 'Messages of 100 bytes. libsignal has no bundle for browsers.', [
    ...panels,
    { title: 'bundle for a browser, minified and gzipped', bars: bundles },
  ]);
}
