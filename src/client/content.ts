/** What a ratchet message's payload says: application content, and the control content of the protocol itself. */

import { encodeUtf8, fromHex, toHex } from '../bytes.js';
import { DecodeError, UsageError } from '../errors.js';
import { limits } from '../limits.js';
import { decodeMsgpack, encodeMsgpack } from '../wire/msgpack.js';
import { bySchema } from './records.js';
import type { Content, MessageId } from './types.js';

/** What a client adds to the content of its application: where the message stands, and for how long. */
export interface Stamp {
  /** Its place in the conversation: see talk.ts. */
  readonly order: number;
  /** The conversation's timer. */
  readonly disappearAfterMs?: number | undefined;
}
/**
 * Whether a message's time is over. Clocks can only be believed: one that jumps ahead ends it early, one that goes back ends it late.
 * `receivedAtMs` is when it came, or left.
 */
export function isExpired(message: { readonly receivedAtMs: number } & Pick<Stamp, 'disappearAfterMs'>, nowMs: number): boolean {
  return message.disappearAfterMs !== undefined && nowMs - message.receivedAtMs > message.disappearAfterMs;
}

/** Room that `encodeContent` leaves for a stamp: values, of those that one payload may have. */
const MAX_NODES = 4_096 - 2;
const ID_BYTES = 16;

/** Content as it arrived. */
export interface ReceivedContent {
  readonly content: Content;
  readonly text: string;
  readonly sentAtMs: number;
  /** What a client of this version or a later one has added. */
  readonly stamp?: Stamp | undefined;
}

/** The control content of a new session's first message (section 5), with the message that started it: for the application, or control content. */
export interface Hello {
  readonly incarnation: Uint8Array;
  readonly replaces: readonly Uint8Array[];
  readonly app?: Uint8Array | undefined;
  readonly control?: Uint8Array | undefined;
}

function argument(field: string, message: string): UsageError {
  return new UsageError('ERR_ARGUMENT', message, { field });
}

function tooLong(field: string, message: string, got: number, max: number): UsageError {
  return new UsageError('ERR_LENGTH', message, { field, got, max });
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string') throw argument(field, 'must be a string');
  if (encodeUtf8(value) === undefined) throw argument(field, 'holds an unpaired surrogate');
  return value;
}

function target(value: unknown): MessageId {
  if (typeof value !== 'string' || !/^[0-9a-f]{32}$/.test(value)) throw argument('content.target', 'must be the id of a message');
  return value as MessageId;
}

/** Whether a timer may be set to this: 0 ends it. */
export const isTimer = (ms: unknown): ms is number =>
  ms === 0 || (Number.isSafeInteger(ms) && (ms as number) >= limits.disappearLeastMs && (ms as number) <= limits.disappearAfterMs);
const emojiBytes = (emoji: string): number => encodeUtf8(emoji)!.length;

/** The application's content, checked. A plain string is text, bytes are bytes. Throws `ERR_ARGUMENT` with the field's path, `ERR_LENGTH` for too long a reaction. */
export function toContent(content: unknown): Content {
  if (typeof content === 'string') return { kind: 'text', text: text(content, 'content') };
  if (content instanceof Uint8Array) return { kind: 'bytes', bytes: content };
  if (typeof content !== 'object' || content === null) throw argument('content', 'must be text, bytes or a content object');
  const given = content as Record<string, unknown>;
  switch (given['kind']) {
    case 'text':
      return { kind: 'text', text: text(given['text'], 'content.text') };
    case 'bytes':
      if (!(given['bytes'] instanceof Uint8Array)) throw argument('content.bytes', 'must be a Uint8Array');
      return { kind: 'bytes', bytes: given['bytes'] };
    case 'app': {
      const type = text(given['type'], 'content.type');
      if (type === '') throw argument('content.type', 'must not be empty');
      const fallback = given['fallback'] === undefined ? undefined : text(given['fallback'], 'content.fallback');
      return { kind: 'app', type, data: given['data'] ?? null, fallback };
    }
    case 'edit':
      return { kind: 'edit', target: target(given['target']), text: text(given['text'], 'content.text') };
    case 'reaction': {
      const emoji = text(given['emoji'], 'content.emoji');
      const got = emojiBytes(emoji);
      if (got > limits.emojiBytes) throw tooLong('content.emoji', `must have at most ${limits.emojiBytes} bytes`, got, limits.emojiBytes);
      return { kind: 'reaction', target: target(given['target']), emoji };
    }
    case 'deletion':
      return { kind: 'deletion', target: target(given['target']) };
    case 'timer': {
      const ms = given['disappearAfterMs'];
      if (!isTimer(ms))
        throw argument(
          'content.disappearAfterMs',
          `must be 0, or whole milliseconds from ${limits.disappearLeastMs} to ${limits.disappearAfterMs}`,
        );
      return { kind: 'timer', disappearAfterMs: ms };
    }
    default:
      throw argument('content.kind', 'must be text, bytes, app, edit, reaction, deletion or timer');
  }
}

/** Encodes content for the wire. Throws `ERR_ARGUMENT` with the path of what has no encoding and the rule that it breaks, `ERR_LENGTH` beyond `limits.contentBytes`. */
export function encodeContent(content: Content, sentAtMs: number): Uint8Array {
  const { kind, ...rest } = content;
  const fields: Record<string, unknown> = { t: kind, at: sentAtMs };
  for (const [field, value] of Object.entries(rest))
    if (value !== undefined) fields[field] = field === 'target' ? fromHex(value as string) : value;
  // `data.…` in the codec's paths is `content.data.…` to the caller.
  const payload = withContentPath(() => encodeMsgpack(fields, { maxNodes: MAX_NODES }));
  if (payload.length > limits.contentBytes) {
    const message = `content is too long: at most ${limits.contentBytes} bytes encoded, and longer data in parts`;
    throw tooLong('content', message, payload.length, limits.contentBytes);
  }
  return payload;
}

/** `payload` of `encodeContent` with a stamp, which makes it at most 22 bytes longer. */
export function stampContent(payload: Uint8Array, { order, disappearAfterMs }: Stamp): Uint8Array {
  const fields = decodeMsgpack(payload) as Record<string, unknown>;
  return encodeMsgpack({ ...fields, o: order, ...(disappearAfterMs === undefined ? {} : { x: disappearAfterMs }) });
}

function withContentPath<T>(encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw argument(`content.${error.field}`, `content.${error.message}`);
  }
}

const malformed = (field: string): DecodeError => new DecodeError('ERR_DECODE', 'content does not follow its schema', { field });

/** Decodes content. Unknown fields are ignored. Throws `ERR_DECODE` if malformed, `ERR_VERSION` for a kind that this version doesn't know. */
export function decodeContent(payload: Uint8Array): ReceivedContent {
  const value = decodeMsgpack(payload) as Record<string, unknown>;
  if (typeof value !== 'object' || value === null || typeof value['t'] !== 'string' || typeof value['at'] !== 'number')
    throw malformed('t');
  // What sets a timer is shown, whatever it says of itself.
  const common = { sentAtMs: value['at'], stamp: stampIn(value['t'] === 'timer' ? { o: value['o'] } : value) };
  const string = (field: string): string => {
    const found = value[field];
    if (typeof found !== 'string') throw malformed(field);
    return found;
  };
  const targetId = (): MessageId => {
    const id = value['target'];
    if (!(id instanceof Uint8Array) || id.length !== ID_BYTES) throw malformed('target');
    return toHex(id) as MessageId;
  };
  switch (value['t']) {
    case 'text': {
      const body = string('text');
      return { content: { kind: 'text', text: body }, text: body, ...common };
    }
    case 'bytes': {
      const bytes = value['bytes'];
      if (!(bytes instanceof Uint8Array)) throw malformed('bytes');
      return { content: { kind: 'bytes', bytes }, text: '', ...common };
    }
    case 'app': {
      const fallback = value['fallback'] === undefined ? undefined : string('fallback');
      return { content: { kind: 'app', type: string('type'), data: value['data'] ?? null, fallback }, text: fallback ?? '', ...common };
    }
    case 'edit': {
      const body = string('text');
      return { content: { kind: 'edit', target: targetId(), text: body }, text: body, ...common };
    }
    case 'reaction': {
      const emoji = string('emoji');
      if (emojiBytes(emoji) > limits.emojiBytes) throw malformed('emoji');
      return { content: { kind: 'reaction', target: targetId(), emoji }, text: '', ...common };
    }
    case 'deletion':
      return { content: { kind: 'deletion', target: targetId() }, text: '', ...common };
    case 'timer': {
      const ms = value['disappearAfterMs'];
      if (!isTimer(ms)) throw malformed('disappearAfterMs');
      return { content: { kind: 'timer', disappearAfterMs: ms }, text: '', ...common };
    }
    case 'history': {
      const { id, part, records, isLast } = value;
      const isPart = Number.isSafeInteger(part) && (part as number) >= 0 && typeof isLast === 'boolean';
      if (!isPart || !(id instanceof Uint8Array) || id.length !== ID_BYTES) throw malformed('part');
      if (!Array.isArray(records) || !records.every((record) => record instanceof Uint8Array)) throw malformed('records');
      return { content: { kind: 'history', transfer: toHex(id), part: part as number, records, isLast }, text: '', ...common };
    }
    default:
      throw new DecodeError('ERR_VERSION', 'content of an unknown kind', { field: 't' });
  }
}

function stampIn({ o, x }: Record<string, unknown>): Stamp | undefined {
  if (o === undefined && x === undefined) return undefined;
  if (!Number.isSafeInteger(o) || (o as number) < 0) throw malformed('o');
  if (x !== undefined && (!isTimer(x) || x === 0)) throw malformed('x');
  return { order: o as number, disappearAfterMs: x as number | undefined };
}

const helloSchema = { t: 'string', incarnation: 'bytes', replaces: 'list', app: 'bytes?', control: 'bytes?' } as const;

/** Encodes a hello. */
export function encodeHello({ incarnation, replaces, app, control }: Hello): Uint8Array {
  return encodeMsgpack({
    t: 'hello',
    incarnation,
    replaces,
    ...(app === undefined ? {} : { app }),
    ...(control === undefined ? {} : { control }),
  });
}

/** Decodes a hello; `undefined` for other control content. Unknown fields are refused. Throws `ERR_DECODE`. */
export function decodeHello(payload: Uint8Array): Hello | undefined {
  const value = decodeMsgpack(payload) as Record<string, unknown> | null;
  if (value?.['t'] !== 'hello') return undefined;
  const { t, ...hello } = bySchema(helloSchema, value, malformed);
  const is = (bytes: unknown, length: number): boolean => bytes instanceof Uint8Array && bytes.length === length;
  const isHello = is(hello.incarnation, 16) && hello.replaces.length <= 5 && hello.replaces.every((id) => is(id, 16));
  if (!isHello || (hello.app !== undefined && hello.control !== undefined)) throw malformed('hello');
  return hello as Hello;
}
