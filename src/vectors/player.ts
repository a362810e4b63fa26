/**
 * How a kind of vectors is played: operations, and state machines of which a case takes several steps.
 *
 * Knows how an operation is held against a case; knows no kind.
 */

import { isCyphrError, UsageError } from '../errors.js';
import type { Rng } from '../step.js';
import {
  type Inputs,
  inputsOf,
  type Json,
  type JsonObject,
  merge,
  type Output,
  toJson,
  type VectorCase,
  type VectorStep,
} from './schema.js';

/** One operation of a kind: inputs to outputs; throws this library's error where the inputs are to be refused. */
export type Operation = (inputs: Inputs) => { readonly [name: string]: Output };

/** A state machine. A step that throws has left the state as it was. */
export interface Machine {
  readonly step: Readonly<Record<string, Operation>>;
  /** What the state says once all steps are done. */
  end(): { readonly [name: string]: Output };
}

/** A kind of vectors. */
export interface Player {
  readonly operations: Readonly<Record<string, Operation>>;
  /** By the `op` of a case that has steps. */
  readonly machines?: Readonly<Record<string, (inputs: Inputs) => Machine>>;
}

/** What an operation has come to, as it would stand in a file. */
export type Played = { readonly outputs: JsonObject } | { readonly code: string };

/** Runs one operation of a table. Throws `ERR_ARGUMENT` for one that the table has not; what is no error of this library, passes through. */
export function run(operations: Readonly<Record<string, Operation>>, op: string, inputs: JsonObject): Played {
  const operation = Object.hasOwn(operations, op) ? operations[op] : undefined;
  if (operation === undefined) throw new UsageError('ERR_ARGUMENT', 'no such operation', { field: op });
  const given = inputsOf(inputs);
  try {
    return { outputs: toJson(operation(given)) as JsonObject };
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return { code: error.code };
  }
}

/** Plays one case; `undefined` if all of it came out as the case says, else what did not, in one line. */
export function playCase(player: Player, given: JsonObject, vector: VectorCase): string | undefined {
  try {
    return vector.steps === undefined ? playStep(player.operations, given, vector, vector.op) : playSteps(player, given, vector);
  } catch (error) {
    return `${vector.op}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function playStep(operations: Player['operations'], given: JsonObject, step: VectorStep, place: string): string | undefined {
  const played = run(operations, step.op, merge(given, step.inputs));
  if (step.result === 'invalid') {
    if (!('code' in played)) return `${place}: was not refused, but must be with ${step.code}`;
    return played.code === step.code ? undefined : `${place}: refused with ${played.code}, not with ${step.code}`;
  }
  if (step.result !== 'valid') return `${place}: its result is neither valid nor invalid`;
  if ('code' in played) return `${place}: refused with ${played.code}`;
  return difference(played.outputs, step.outputs ?? {}, place);
}

function playSteps({ machines = {} }: Player, given: JsonObject, vector: VectorCase): string | undefined {
  const start = Object.hasOwn(machines, vector.op) ? machines[vector.op] : undefined;
  if (start === undefined) throw new UsageError('ERR_ARGUMENT', 'no such machine', { field: vector.op });
  if (vector.result !== 'valid') return `${vector.op}: a case of steps is valid; of its steps each says what it is`;
  const machine = start(inputsOf(merge(given, vector.inputs)));
  for (const [i, step] of vector.steps!.entries()) {
    const wrong = playStep(machine.step, given, step, `step ${i}, ${step.op}`);
    if (wrong !== undefined) return wrong;
  }
  return difference(toJson(machine.end()), vector.outputs ?? {}, 'end');
}

/** Where two values differ; `undefined` if they don't. The order of members does not count. */
function difference(got: Json, expected: Json, place: string): string | undefined {
  if (typeof got !== 'object' || got === null || typeof expected !== 'object' || expected === null) {
    return got === expected ? undefined : `${place}: another value`;
  }
  const names = new Set([...Object.keys(got), ...Object.keys(expected)]);
  for (const name of names) {
    const at = `${place}.${name}`;
    if (!Object.hasOwn(expected, name)) return `${at}: is not in the vectors`;
    if (!Object.hasOwn(got, name)) return `${at}: is missing`;
    const wrong = difference((got as JsonObject)[name]!, (expected as JsonObject)[name]!, at);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** An `Rng` that gives `bytes` in order, and no more; `isUsedUp` says whether all of them were drawn. */
export function drawing(bytes: Uint8Array): { readonly rng: Rng; isUsedUp(): boolean } {
  let at = 0;
  return {
    rng(lengthBytes) {
      at += lengthBytes;
      if (at > bytes.length)
        throw new UsageError('ERR_ARGUMENT', 'the vectors have too few random bytes', { field: 'random', max: bytes.length });
      return bytes.slice(at - lengthBytes, at);
    },
    isUsedUp: () => at === bytes.length,
  };
}

/** Runs `step` with the random bytes of `inputs.random`, all of which it must draw. */
export function withRandom<T>(inputs: Inputs, step: (rng: Rng) => T): T {
  const { rng, isUsedUp } = drawing(inputs.bytes('random'));
  const out = step(rng);
  if (!isUsedUp()) throw new UsageError('ERR_ARGUMENT', 'the vectors have too many random bytes', { field: 'random' });
  return out;
}
