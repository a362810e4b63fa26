/** What players of others' vectors have in common. */

import { equal, fromHex } from '../../bytes.js';
import { isCyphrError } from '../../errors.js';

/** Members of a group or a test as they stand in a file; nothing of them is believed. */
export type Members = Readonly<Record<string, unknown>>;

/** Whether one test came out as its file says; `undefined` if it is of something that this library has not. */
export type Play = (test: Members, group: Members) => boolean | undefined;

/** One test of a file: `ok` is absent for what is not for this library. */
export interface Outcome {
  readonly id: string;
  readonly ok?: boolean;
  readonly why?: string;
}

/** Groups with their tests, as both Wycheproof and ACVP have them. */
export interface Groups {
  readonly testGroups: readonly (Members & { readonly tests: readonly Members[] })[];
}

/** Whether a parsed JSON has such groups. */
export function hasGroups(json: unknown): json is Groups & Members {
  return (
    isMembers(json) &&
    Array.isArray(json['testGroups']) &&
    json['testGroups'].every((group) => isMembers(group) && Array.isArray(group['tests']))
  );
}

/** Whether this is a JSON object. */
export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Plays every test. Without a player nothing is for this library; a test that throws has failed. */
export function* playGroups({ testGroups }: Groups, play: Play | undefined): Generator<Outcome> {
  for (const group of testGroups) {
    for (const test of group.tests) yield played(test, group, play);
  }
}

function played(test: Members, group: Members, play: Play | undefined): Outcome {
  const id = `tcId ${String(test['tcId'])}`;
  try {
    const ok = play?.(test, group);
    return { id, ...(ok !== undefined && { ok }), ...(ok === false && { why: saidOf(test) }) };
  } catch (error) {
    return { id, ok: false, why: `${saidOf(test)}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function saidOf({ result, testPassed, comment }: Members): string {
  const verdict = typeof result === 'string' ? result : testPassed === false ? 'invalid' : 'valid';
  return `not ${verdict}, as the file says${typeof comment === 'string' && comment !== '' ? ` (${comment})` : ''}`;
}

/** Bytes of a member, hexadecimal in any case; empty where it is absent. Throws for anything else. */
export function hex(value: unknown): Uint8Array {
  const bytes = typeof value === 'string' ? fromHex(value.toLowerCase()) : value === undefined ? new Uint8Array(0) : undefined;
  if (bytes === undefined) throw new TypeError('not hexadecimal');
  return bytes;
}

/** Whether `bytes` are what a member says. */
export const is = (bytes: Uint8Array, value: unknown): boolean => equal(bytes, hex(value));

/** Whether `call` throws one of this library's errors. */
export function refuses(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch (error) {
    return isCyphrError(error);
  }
}

/** Whether `call` throws at all. */
export function throws(call: () => unknown): boolean {
  try {
    call();
    return false;
  } catch {
    return true;
  }
}
