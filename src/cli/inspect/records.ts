/**
 * Local records: MessagePack maps {v, kind, …}. Of each kind the members are named here that may be shown; of every other one only its
 * type and its length are said, and of a kind that is not known, of all.
 */

import { decodeMsgpack, encodeMsgpack } from '../../wire/msgpack.js';

const MAX_NODES = 65_536;
const ALWAYS = ['v', 'kind'];

/** By kind. A member's name stands for itself wherever it is nested. */
const PUBLIC: Readonly<Record<string, readonly string[]>> = {
  meta: ['account', 'device', 'loginsSince'],
  device: ['account', 'device', 'incarnation', 'list'],
  prekeys: ['published', 'sets', 'batches', 'units', 'id', 'hash', 'seq', 'profiles', 'issued', 'superseded', 'notAfter'],
  seen: ['set', 'ot', 'init'],
  publish: ['identity', 'signedSet', 'batchId', 'batchHead', 'batchEntries'],
  contact: ['identity', 'sinceMs', 'verified', 'list', 'changedTo', 'changedList', 'changedByOwn', 'former', 'unasked', 'statement'],
  'device-of-contact': ['setSeq', 'setHash', 'setId', 'sealKey', 'verFloor', 'setNotAfterMs'],
  peer: [
    ...['sessions', 'id', 'initiatedByUs', 'createdAtMs', 'answeredAtMs', 'status', 'retiredAtMs', 'dead', 'suspect'],
    ...['askedCount', 'askedAtMs', 'startedAtMs', 'incarnation', 'former', 'gone'],
  ],
  session: ['account', 'device', 'accountKeyHash', 'deviceKeyHash', 'replayable', 'unansweredCount', 'createdAtMs', 'silentSinceMs'],
  init: ['prefix', 'setId', 'sealKey'],
  sent: [
    'to',
    'state',
    'atMs',
    'seq',
    'waitingFor',
    'accepted',
    'code',
    'order',
    'disappearAfterMs',
    'isQuiet',
    'acceptedAtMs',
    'isControl',
  ],
  pending: ['id', 'atMs', 'only', 'control', 'as'],
  outbox: ['id', 'bytes', 'atMs'],
  log: ['account', 'accountKeyHash', 'control', 'atMs', 'devices', 'to', 'name', 'tries'],
  trouble: ['account', 'deviceKeyHash', 'code', 'heals', 'atMs'],
  greet: ['isStarted', 'hellos', 'device', 'bytes'],
  share: ['after'],
  grant: ['device', 'untilMs'],
  inbox: ['id', 'account', 'device', 'accountKeyHash', 'receivedAtMs', 'replayable', 'to', 'order', 'disappearAfterMs'],
  talk: ['greatest', 'timerMs', 'timerOrder'],
  login: ['floor', 'made', 'generation'],
  verdict: ['reason', 'got', 'max'],
};

/** One member, or one value within: where it stands, key included, and its value if that may be shown. */
export interface Member {
  readonly name: string;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly type: string;
  readonly shown?: number | string | boolean | null | Uint8Array;
}

/** A record's kind and members; `undefined` for what is no record. Nothing in `members` is secret. */
export function readRecord(bytes: Uint8Array): { readonly kind: string; readonly members: readonly Member[] } | undefined {
  let value: unknown;
  try {
    value = decodeMsgpack(bytes, { maxNodes: MAX_NODES });
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('v' in value) || !('kind' in value) || typeof value.kind !== 'string')
    return undefined;
  const isPublic = new Set([...ALWAYS, ...(Object.hasOwn(PUBLIC, value.kind) ? PUBLIC[value.kind]! : [])]);
  return { kind: value.kind, members: membersOf(value, '', 0, isPublic) };
}

/** One value has one encoding, so where each stands follows from the lengths of those before it. */
function membersOf(container: object, path: string, at: number, isPublic: ReadonlySet<string>): Member[] {
  const isList = Array.isArray(container);
  const entries = Object.entries(container);
  let offset = at + lengthOf(container) - entries.reduce((sum, [key, item]) => sum + (isList ? 0 : lengthOf(key)) + lengthOf(item), 0);
  return entries.flatMap(([key, item]) => {
    const name = isList ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
    const start = offset;
    const valueAt = start + (isList ? 0 : lengthOf(key));
    offset = valueAt + lengthOf(item);
    const member: Member = { name, offset: start, lengthBytes: offset - start, type: typeOf(item) };
    if (!(isList || isPublic.has(key))) return [member];
    if (typeof item !== 'object' || item === null || item instanceof Uint8Array) return [{ ...member, shown: item }];
    return [member, ...membersOf(item, name, valueAt, isPublic)];
  });
}

const lengthOf = (value: unknown): number => encodeMsgpack(value, { maxNodes: MAX_NODES }).length;

function typeOf(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `list of ${value.length}`;
  if (typeof value === 'string') return 'text';
  if (value === null) return 'nothing';
  return typeof value === 'object' ? `map of ${Object.keys(value).length}` : typeof value;
}
