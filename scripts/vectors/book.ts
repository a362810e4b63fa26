/**
 * Makes files of test vectors: inputs and what is expected of them come from the generators beside this file, outputs from the players
 * of `src/vectors/`. A case that does not come out as expected is no vector but an error.
 */

import { fromHex } from '../../src/bytes.js';
import type { ErrorCode } from '../../src/errors.js';
import { PLAYERS } from '../../src/vectors/play.js';
import { type Operation, type Player, run } from '../../src/vectors/player.js';
import {
  inputsOf,
  type Json,
  type JsonObject,
  merge,
  type Output,
  toJson,
  VECTOR_SCHEMA,
  type VectorCase,
  type VectorFile,
  type VectorStep,
} from '../../src/vectors/schema.js';

/** Values by name, with bytes as bytes. */
export type Members = Readonly<Record<string, Output>>;

/** What came out, with bytes as bytes again. */
export interface Outputs {
  readonly json: JsonObject;
  bytes(name: string): Uint8Array;
}

/** What stands at the head of a file. */
export interface Head {
  readonly kind: string;
  readonly section: string;
  readonly description: string;
  readonly seed: string;
}

/** Steps of one kind: operations that must succeed, and ones that must be refused. */
interface Steps<Name extends unknown[]> {
  /** An operation that succeeds, and what came out. */
  valid(...args: [...Name, op: string, inputs: Members, description?: string]): Outputs;
  /** An operation that must be refused with `code`; who accepts it is open to `threats`. */
  invalid(...args: [...Name, op: string, code: ErrorCode, threats: string, description: string, inputs: Members]): void;
}

/** A state machine under way. */
export interface Scenario extends Steps<[]> {
  /** Takes the case into the file. */
  end(): JsonObject;
}

export interface Book extends Steps<[id: string]> {
  /** Takes these into `given`: inputs of every case that does not name them itself. */
  give(members: Members): void;
  /** A case of many steps. */
  scenario(id: string, op: string, inputs: Members, description: string): Scenario;
  file(): VectorFile;
}

/** Opens a file of vectors. */
export function book({ kind, section, description, seed }: Head): Book {
  const player: Player = PLAYERS[kind]!;
  let shared: JsonObject = {};
  const cases: VectorCase[] = [];
  return {
    give(members) {
      shared = { ...shared, ...(toJson(members) as JsonObject) };
    },
    valid(id, op, inputs, text) {
      const { step, out } = valid(player.operations, shared, op, inputs, text);
      cases.push({ id: kebab(id), ...step });
      return out;
    },
    invalid(id, op, code, threats, text, inputs) {
      cases.push({ id: kebab(id), ...invalid(player.operations, shared, op, code, threats, text, inputs, id) });
    },
    scenario(id, op, inputs, text) {
      const own = compact(shared, inputs);
      const machine = player.machines![op]!(inputsOf(merge(shared, own)));
      const steps: VectorStep[] = [];
      return {
        valid(name, values, note) {
          const { step, out } = valid(machine.step, shared, name, values, note);
          steps.push(step);
          return out;
        },
        invalid(name, code, threats, note, values) {
          steps.push(invalid(machine.step, shared, name, code, threats, note, values, `${id}, step ${steps.length}`));
        },
        end() {
          const outputs = toJson(machine.end()) as JsonObject;
          cases.push({ id, op, description: text, result: 'valid', inputs: own, outputs, steps });
          return outputs;
        },
      };
    },
    file() {
      const generator = { script: 'scripts/vectors/generate.ts', seed };
      const head = { schema: VECTOR_SCHEMA, kind, description, section, generator } as const;
      return { ...head, ...(Object.keys(shared).length === 0 ? {} : { given: shared }), cases };
    },
  };
}

/** Ids are in lower case with hyphens. */
const kebab = (id: string): string => id.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);

type Operations = Readonly<Record<string, Operation>>;

function valid(operations: Operations, shared: JsonObject, op: string, members: Members, description: string | undefined) {
  const inputs = compact(shared, members);
  const played = run(operations, op, merge(shared, inputs));
  if ('code' in played) throw new Error(`${op}, ${description ?? 'valid'}: refused with ${played.code}`);
  const { outputs } = played;
  const out: Outputs = { json: outputs, bytes: (name) => fromHex(outputs[name] as string)! };
  const step: VectorStep = { op, ...(description === undefined ? {} : { description }), result: 'valid', inputs, outputs };
  return { step, out };
}

function invalid(
  operations: Operations,
  shared: JsonObject,
  op: string,
  code: ErrorCode,
  threats: string,
  description: string,
  members: Members,
  place: string,
): VectorStep {
  const inputs = compact(shared, members);
  const played = run(operations, op, merge(shared, inputs));
  const got = 'code' in played ? played.code : 'nothing';
  if (got !== code) throw new Error(`${place} (${description}): refused with ${got}, not with ${code}`);
  return { op, description, result: 'invalid', threats: threats.split(' '), code, inputs };
}

/** Inputs as JSON; long bytes that are nearly those of a given input are written as what is changed in it. */
function compact(given: JsonObject, members: Members): JsonObject {
  const shorter = (value: Json): Json => {
    if (typeof value !== 'string' || value.length < 256 || fromHex(value) === undefined) return value;
    const forms = Object.entries(given).flatMap(([name, base]) =>
      typeof base === 'string' && fromHex(base) !== undefined ? [splice(name, base, value)] : [],
    );
    const least = forms.sort((a, b) => JSON.stringify(a).length - JSON.stringify(b).length)[0];
    return least !== undefined && 2 * JSON.stringify(least).length < value.length ? least : value;
  };
  return Object.fromEntries(Object.entries(toJson(members) as JsonObject).map(([name, value]) => [name, shorter(value)]));
}

/** Runs of bytes that differ are told as one if no more than this many between them are the same. */
const NEAR_BYTES = 8;

/** What makes `value` of the given input `of`: run by run where both have one length, else between what both begin and end with. */
function splice(of: string, base: string, value: string): JsonObject {
  if (base === value) return { of };
  const [from, to] = [fromHex(base)!, fromHex(value)!];
  const splices: [at: number, cut: number, put: string][] = [];
  if (from.length === to.length) {
    for (let at = 0, same = NEAR_BYTES + 1; at < to.length; at++) {
      if (from[at] === to[at]) {
        same++;
        continue;
      }
      const start = same > NEAR_BYTES || splices.length === 0 ? at : splices.pop()![0];
      splices.push([start, at + 1 - start, value.slice(2 * start, 2 * at + 2)]);
      same = 0;
    }
    return { of, splices };
  }
  const longest = Math.min(from.length, to.length);
  let at = 0;
  while (at < longest && from[at] === to[at]) at++;
  let end = 0;
  while (end < longest - at && from.at(-1 - end) === to.at(-1 - end)) end++;
  return { of, splices: [[at, from.length - at - end, value.slice(2 * at, value.length - 2 * end)]] };
}

/** `bytes` with those of `over` from `at` on, in a copy. */
export function patched(bytes: Uint8Array, at: number, over: Uint8Array | readonly number[]): Uint8Array {
  const out = new Uint8Array(bytes);
  out.set(over, at < 0 ? bytes.length + at : at);
  return out;
}

/** `bytes` with one bit changed, in a copy. */
export function flipped(bytes: Uint8Array, at = -1, mask = 1): Uint8Array {
  const place = at < 0 ? bytes.length + at : at;
  return patched(bytes, place, [bytes[place]! ^ mask]);
}
