/** The loop of the fuzzer: plays inputs that are made from the corpus, and keeps those that reach something new. */

import { toHex } from '../../src/bytes.js';
import { below } from '../helpers/conversation.js';
import { testRng } from '../helpers/rng.js';
import { checkTrace } from './check.js';
import { keepInput, readCorpus, writeCorpus } from './corpus.js';
import type { Observer, Trace } from './coverage.js';
import { mutate } from './mutate.js';
import { same, type Target } from './target.js';
import { TARGETS } from './targets.js';

const say = (text: string): boolean => process.stdout.write(`${text}\n`);

interface Kept {
  readonly input: Uint8Array;
  readonly features: readonly string[];
}

/**
 * Few inputs that reach all that the seeds don't: every magnitude of every block, or of a slow target each block once. The greedy cover.
 * Seeds are played anyway: they say what no block shows.
 */
function smallest(kept: readonly Kept[], { seeds, isSlow = false }: Target): Uint8Array[] {
  const blockOf = (feature: string): string => (isSlow ? feature.slice(0, feature.lastIndexOf(':')) : feature);
  const isSeed = ({ input }: Kept): boolean => seeds.some((seed) => same(seed, input));
  const seeded = new Set(kept.filter(isSeed).flatMap(({ features }) => features.map(blockOf)));
  let left = kept.map(({ input, features }) => ({
    input,
    missing: new Set(features.map(blockOf).filter((feature) => !seeded.has(feature))),
  }));
  const chosen: Uint8Array[] = [];
  for (;;) {
    left = left.filter(({ missing }) => missing.size > 0);
    const [best] = left.sort((a, b) => b.missing.size - a.missing.size || a.input.length - b.input.length);
    if (best === undefined) return chosen;
    chosen.push(best.input);
    const reached = [...best.missing];
    for (const { missing } of left) for (const feature of reached) missing.delete(feature);
  }
}

/** Plays one target for so long; whether nothing was found. A finding is kept in the corpus: the replay fails until it is mended. */
async function fuzzOne(
  eyes: Observer,
  name: string,
  make: () => Target | Promise<Target>,
  seconds: number,
  seed: string,
): Promise<boolean> {
  const rng = testRng(`${seed} ${name}`);
  const target = await make();
  const reached = new Set<string>();
  const kept: Kept[] = [];
  let [runs, most, findings] = [0, 0, 0];
  const seen = new Set<string>();

  const play = async (input: Uint8Array): Promise<void> => {
    runs += 1;
    let trace: Trace;
    try {
      eyes.reset();
      trace = await eyes.observe(() => target.play(input));
      checkTrace(target, input, trace);
    } catch (error) {
      const text = (error as Error).stack ?? String(error);
      // The same place once more is no other finding.
      const place = text.split('\n').slice(0, 3).join('\n').replace(/\d+/g, '#');
      if (seen.has(place)) return;
      seen.add(place);
      findings += 1;
      say(`\n${name}: FOUND, kept as ${keepInput(name, input)} (seed ${seed})\n${toHex(input)}\n${text}\n`);
      return;
    }
    most = Math.max(most, trace.work);
    if (trace.features.every((feature) => reached.has(feature))) return;
    for (const feature of trace.features) reached.add(feature);
    kept.push({ input, features: trace.features });
  };

  const startedAt = process.hrtime.bigint();
  // The first round warms up: what is made once and where blocks are shows only then.
  for (let round = 0; round < 2; round++) {
    kept.length = 0;
    reached.clear();
    for (const input of [...target.seeds, ...readCorpus(name)]) await play(input);
  }
  const before = reached.size;
  const end = startedAt + BigInt(Math.round(seconds * 1e9));
  while (process.hrtime.bigint() < end) {
    const all = kept.map(({ input }) => input);
    // The newest reach furthest.
    const base = below(rng, 2) === 0 ? all[all.length - 1 - below(rng, Math.min(8, all.length))] : all[below(rng, all.length)];
    await play(mutate(base ?? new Uint8Array(0), all, rng));
  }
  await target.close?.();
  const corpus = smallest(kept, target);
  if (findings === 0) writeCorpus(name, corpus);
  const bytes = corpus.reduce((sum, { length }) => sum + length, 0);
  say(
    `${name}: ${runs} inputs, ${before} → ${reached.size} features, ${corpus.length} kept (${bytes} bytes), most work ${most}, ${findings} findings`,
  );
  return findings === 0;
}

/** Plays every target whose name begins with `named`, each for so long. Whether there was one and nothing was found. */
export async function fuzz(eyes: Observer, named: string, seconds: number, seed: string): Promise<boolean> {
  const chosen = Object.entries(TARGETS).filter(([name]) => name.startsWith(named));
  if (chosen.length === 0) say(`no such target: ${Object.keys(TARGETS).join(' ')}`);
  let isClean = chosen.length > 0;
  for (const [name, make] of chosen) isClean = (await fuzzOne(eyes, name, make, seconds, seed)) && isClean;
  return isClean;
}
