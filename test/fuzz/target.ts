/**
 * What the fuzzer and the replay of its corpora play: targets that take any bytes, and throw only what is a finding.
 *
 * Knows no code under test. Structures that are long or hold keys are not fuzzed as bytes but as `edited`: a few operations on a valid one,
 * so that an input stays small and goes deep.
 */

import { isDeepStrictEqual } from 'node:util';
import { concat, copy } from '../../src/bytes.js';
import { type ErrorCode, isCyphrError } from '../../src/errors.js';

/** One thing to be fuzzed. */
export interface Target {
  /** Inputs to begin with, and to be replayed whatever they reach: the cases that one thinks of. */
  readonly seeds: readonly Uint8Array[];
  /** Plays one input; whatever it throws is a finding. */
  play(input: Uint8Array): unknown;
  /** Blocks of our code that one input may run: `fixed`, and `perByte` of the input. See coverage.ts. */
  readonly work?: { readonly fixed: number; readonly perByte: number };
  /** One input takes many milliseconds: fewer of them are kept. */
  readonly isSlow?: boolean;
  /** Called when no more inputs follow. */
  close?(): Promise<void>;
}

/** What went wrong, with the input's effect. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

/** Equality by the platform: the count of blocks is of the code under test. */
export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a.buffer, a.byteOffset, a.length).equals(b);

/** Throws a finding unless `holds`. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Finding(what);
}

/** Runs `call`; an error of ours with one of these codes is given back, any other one is a finding. */
export function refusedAs<T>(codes: readonly ErrorCode[], call: () => T): { readonly value: T } | { readonly code: ErrorCode } {
  try {
    return { value: call() };
  } catch (error) {
    return { code: codeOf(codes, error) };
  }
}

/** The same for a promise. */
export async function refusedLater<T>(
  codes: readonly ErrorCode[],
  call: () => Promise<T>,
): Promise<{ readonly value: T } | { readonly code: ErrorCode }> {
  try {
    return { value: await call() };
  } catch (error) {
    return { code: codeOf(codes, error) };
  }
}

function codeOf(codes: readonly ErrorCode[], error: unknown): ErrorCode {
  if (error instanceof Finding) throw error;
  if (isCyphrError(error) && codes.includes(error.code)) return error.code;
  throw new Finding(`escaped: ${String((error as Error)?.stack ?? error)}`, { cause: error });
}

export const DECODE: readonly ErrorCode[] = ['ERR_DECODE', 'ERR_VERSION', 'ERR_TOO_LARGE'];
export const STORED: readonly ErrorCode[] = ['ERR_STORE_CORRUPT', 'ERR_STORE_VERSION'];

/** A value has at most this many bytes of buffers and nodes for each byte that it was decoded from, and this many beside. */
const FOOTPRINT = { perByte: 40, fixed: 4_096 };

/** A function of bytes that throws only `codes`. `encode` makes its input again; `same`, where one value has several encodings. */
export function decoder<T>(
  {
    seeds,
    codes,
    decode,
    encode,
    isCanonical = true,
  }: {
    readonly seeds: readonly Uint8Array[];
    readonly codes: readonly ErrorCode[];
    readonly decode: (bytes: Uint8Array) => T;
    readonly encode?: (value: NonNullable<T>) => Uint8Array;
    /** Whether a value has one encoding; else only what it says must survive. */
    readonly isCanonical?: boolean;
  },
  work?: Target['work'],
): Target {
  return {
    seeds,
    ...(work && { work }),
    play(input) {
      const given = copy(input);
      const result = refusedAs(codes, () => decode(given));
      must(same(given, input), 'the decoder changed its input');
      if ('code' in result) return;
      const { value } = result;
      if (value === undefined || value === null) return;
      const bytes = footprint(value);
      must(bytes <= FOOTPRINT.fixed + FOOTPRINT.perByte * input.length, `${bytes} bytes of value from ${input.length}`);
      if (encode === undefined) return;
      const again = encode(value);
      if (isCanonical) must(same(again, input), `encodes to other bytes: ${Buffer.from(again.subarray(0, 200)).toString('hex')}`);
      else must(isDeepStrictEqual(decode(copy(again)), value), 'says something else after a round');
    },
  };
}

/** Bytes of all buffers that a value holds on to, whole, and 8 for each other thing in it. */
function footprint(value: unknown, seen = new Set<unknown>()): number {
  if (typeof value === 'string') return 2 * value.length;
  if (typeof value !== 'object' || value === null || seen.has(value)) return 8;
  seen.add(value);
  if (value instanceof Uint8Array) {
    if (seen.has(value.buffer)) return 8;
    seen.add(value.buffer);
    return value.buffer.byteLength;
  }
  return Object.values(value).reduce<number>((sum, each) => sum + footprint(each, seen), 8);
}

/** The same target on a valid structure, which the input edits; the first byte picks one of `templates`. */
export function onEdits(templates: readonly Uint8Array[], target: Target): Target {
  return {
    ...target,
    // Five bytes of a script insert up to 255.
    work: { fixed: 60_000, perByte: 3_000, ...target.work },
    seeds: templates.map((_, i) => new Uint8Array([i])),
    play: (input) => target.play(edited(templates[(input[0] ?? 0) % templates.length]!, input.subarray(1))),
  };
}

/** A structure after the operations of `script`, 5 bytes each: what · where u16 · value · count. */
export function edited(structure: Uint8Array, script: Uint8Array): Uint8Array {
  let out: Uint8Array = copy(structure);
  for (let i = 0; i + 5 <= script.length; i += 5) {
    const [what, high, low, value, count] = script.subarray(i, i + 5) as unknown as [number, number, number, number, number];
    // From the end where the top bit is set: tails move when lengths differ.
    const far = ((high & 0x7f) << 8) | low;
    const at = Math.min(out.length, high & 0x80 ? Math.max(0, out.length - 1 - far) : far);
    if (what % 6 <= 2 && at < out.length) out[at] = what % 6 === 0 ? out[at]! ^ value : what % 6 === 1 ? value : out[at]! + 1;
    if (what % 6 === 3) out = out.slice(0, at);
    if (what % 6 === 4) out = concat(out.subarray(0, at), new Uint8Array(count).fill(value), out.subarray(at));
    if (what % 6 === 5) out = concat(out.subarray(0, at), out.subarray(at + count));
  }
  return out;
}

/** Reads an input as a program: numbers until it is used up, then zeros. */
export function program(input: Uint8Array) {
  let at = 0;
  const bytes = (count: number): Uint8Array => {
    at += count;
    return input.slice(at - count, at);
  };
  const number = (count: number): number => bytes(count).reduce((value, byte) => value * 256 + byte, 0);
  return {
    u8: () => number(1),
    u16: () => number(2),
    u32: () => number(4),
    bytes,
    rest: () => bytes(Math.max(0, input.length - at)),
    hasEnded: () => at >= input.length,
  };
}
