/** The statistics of dudect (Reparaz, Balasch, Verbauwhede 2017): Welch's t between two classes of times, also of the quickest parts of both. */

export interface Verdict {
  /** Samples of both classes. */
  readonly count: number;
  /** Lower quartile of the random class less that of the fixed one, in nanoseconds for one call: a busy machine moves medians. */
  readonly quartileDifferenceNs: number;
  /** Welch's t over all samples. */
  readonly t: number;
  /** The t of greatest magnitude over all samples and over all crops. */
  readonly maxT: number;
}

/** Running mean and variance. */
interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
}

function moments(values: readonly number[]): Moments {
  let [mean, squares] = [0, 0];
  values.forEach((value, i) => {
    const delta = value - mean;
    mean += delta / (i + 1);
    squares += delta * (value - mean);
  });
  return { count: values.length, mean, variance: squares / Math.max(1, values.length - 1) };
}

/** Welch's t: 0 where there is nothing to compare. */
export function welch(fixed: readonly number[], random: readonly number[]): number {
  const [a, b] = [moments(fixed), moments(random)];
  const spread = Math.sqrt(a.variance / a.count + b.variance / b.count);
  return spread > 0 ? (b.mean - a.mean) / spread : 0;
}

const CROPS = 100;
/** A class with fewer samples below a threshold says nothing. */
const LEAST = 500;

const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const at = (ordered: readonly number[], part: number): number => ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * part))]!;

/** Compares two classes; crops both at the same times, as dudect does: long times are interrupts and collections, not the operation. */
export function compareClasses(fixed: readonly number[], random: readonly number[]): Verdict {
  const all = sorted([...fixed, ...random]);
  const t = welch(fixed, random);
  let maxT = t;
  for (let i = 0; i < CROPS; i++) {
    const limit = at(all, 1 - 0.5 ** ((10 * (i + 1)) / CROPS));
    const [a, b] = [fixed.filter((time) => time < limit), random.filter((time) => time < limit)];
    if (a.length < LEAST || b.length < LEAST) continue;
    const cropped = welch(a, b);
    if (Math.abs(cropped) > Math.abs(maxT)) maxT = cropped;
  }
  return { count: all.length, quartileDifferenceNs: at(sorted(random), 0.25) - at(sorted(fixed), 0.25), t, maxT };
}
