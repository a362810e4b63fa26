/**
 * Plays files of test-vectors by their schema: resolves inputs, runs the operations of the file's kind, compares all outputs. What must be refused
 * must be refused with the document's code, and leave the state as it was.
 */
import { hex, Refused } from './bytes.mjs';
import { linking } from './vectors-linking.mjs';
import { OBJECT_KINDS } from './vectors-objects.mjs';
import { SESSION_KINDS } from './vectors-sessions.mjs';

/** By kind, then by operation: a function of inputs that gives the outputs, or { steps, end } for a state machine. */
const KINDS = { ...OBJECT_KINDS, ...SESSION_KINDS, linking };

/** A byte string with pieces of it replaced, as { of, splices } says: places are those of the given bytes. */
function splice(given, { of, splices = [] }) {
  let out = '';
  let from = 0;
  for (const [at, cut, put] of splices) {
    out += given[of].slice(2 * from, 2 * at) + put;
    from = at + cut;
  }
  return out + given[of].slice(2 * from);
}
const isSplice = (value) => typeof value === 'object' && value !== null && typeof value.of === 'string';

/** `given` under `inputs`; null takes one away. */
function resolve(given, inputs) {
  const members = Object.entries({ ...given, ...inputs }).filter(([, value]) => value !== null);
  return Object.fromEntries(members.map(([name, value]) => [name, isSplice(value) ? splice(given, value) : value]));
}

/** A value as it stands in a file, with its keys in one order. */
function toJson(value) {
  if (value instanceof Uint8Array) return hex(value);
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, toJson(member)]));
}

/** Why a step is not as the file says; undefined if it is. `body` runs it. */
function judge({ result, outputs, code }, body) {
  let actual;
  try {
    actual = toJson(body());
  } catch (error) {
    if (!(error instanceof Refused)) return error.stack;
    return result === 'invalid' && error.code === code ? undefined : `${error.message}, not ${code ?? 'accepted'}`;
  }
  if (result === 'invalid') return 'accepted';
  const [one, other] = [JSON.stringify(actual), JSON.stringify(toJson(outputs))];
  if (one === other) return undefined;
  let at = 0;
  while (one[at] === other[at]) at += 1;
  const from = Math.max(at - 40, 0);
  return `…${one.slice(from, at + 60)}… is not …${other.slice(from, at + 60)}…`;
}

function playCase(operations, given, each) {
  const start = operations[each.op];
  if (start === undefined) return 'an unknown operation';
  const inputs = resolve(given, each.inputs);
  if (each.steps === undefined) return judge(each, () => start(inputs));
  const machine = start(inputs);
  for (const [i, step] of each.steps.entries()) {
    const why = judge(step, () => machine.steps[step.op](resolve(given, step.inputs)));
    if (why !== undefined) return `step ${i} (${step.op}, ${step.description ?? ''}): ${why}`;
  }
  return judge(each, machine.end);
}

/** Every case of a file: [{ id, why }], `why` undefined where all is as it should be. */
export function playFile(file) {
  const operations = KINDS[file.kind];
  if (operations === undefined) return [{ id: file.kind, why: 'an unknown kind' }];
  return file.cases.map((each) => ({ id: each.id, why: playCase(operations, file.given ?? {}, each) }));
}
