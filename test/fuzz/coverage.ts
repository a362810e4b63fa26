/**
 * What one input makes our code do, measured by the engine's block coverage: which blocks ran, about how often, and how much in all.
 *
 * The count of blocks is a measure of work that no busy machine changes; optimised code doesn't count calls, so that it is never too high.
 * Only files below `src/` and `examples/` count. It needs the coverage of its process for itself: not to be run beside a coverage report.
 */

import { type Profiler, Session } from 'node:inspector';

/** One execution, as the coverage shows it. */
export interface Trace {
  /** Block and magnitude of its count, in this process. */
  readonly features: readonly string[];
  /** Blocks of our code that ran. */
  readonly work: number;
  /** Growth of all array buffers. A collection in between makes it smaller, never larger. */
  readonly bufferBytes: number;
}

export interface Observer {
  /** Forgets what has run since the last observation. */
  reset(): void;
  /** Runs `play`: the trace is of all that has run since the last one, or since `reset`. */
  observe(play: () => unknown): Promise<Trace>;
  close(): void;
}

/** A count as a power of four: a loop that runs once more is no news. */
const magnitude = (count: number): number => (count < 3 ? count : 3 + ((31 - Math.clz32(count)) >> 1));

/** Starts to count; one at a time. */
export function observer(): Observer {
  const session = new Session();
  session.connect();
  const post = (method: string, params: object = {}): unknown => {
    let answer: unknown;
    session.post(method, params, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  };
  const take = () => (post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType).result;
  post('Profiler.enable');
  post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

  /** Where blocks of a function begin and end, as far as anything has shown: the engine leaves out a block that ran as often as its parent. */
  const borders = new Map<string, Set<number>>();
  const bordersOf = (name: string, ranges: readonly Profiler.CoverageRange[]): ReadonlySet<number> => {
    const known = borders.get(name) ?? new Set();
    borders.set(name, known);
    for (const { startOffset, endOffset } of ranges) known.add(startOffset).add(endOffset);
    return known;
  };
  /** The innermost range stands last. */
  const countAt = (border: number, ranges: readonly Profiler.CoverageRange[]): number =>
    ranges.filter(({ startOffset, endOffset }) => startOffset <= border && border < endOffset).at(-1)?.count ?? 0;

  return {
    reset: () => void take(),
    async observe(play) {
      const before = process.memoryUsage().arrayBuffers;
      await play();
      const bufferBytes = process.memoryUsage().arrayBuffers - before;
      const features: string[] = [];
      let work = 0;
      for (const { scriptId, url, functions } of take()) {
        if (!/\/(?:src|examples)\//.test(url) || url.includes('/node_modules/')) continue;
        for (const { ranges } of functions) {
          if (ranges.every(({ count }) => count === 0)) continue;
          for (const border of bordersOf(`${scriptId}:${ranges[0]!.startOffset}`, ranges)) {
            const count = countAt(border, ranges);
            if (count === 0) continue;
            work += count;
            features.push(`${scriptId}:${border}:${magnitude(count)}`);
          }
        }
      }
      return { features, work, bufferBytes };
    },
    close: () => session.disconnect(),
  };
}
