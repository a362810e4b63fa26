/** What a ratchet message's payload says: application content, and the control content of the protocol itself. */

import { encodeUtf8 } from '../bytes.js';
import { DecodeError, UsageError } from '../errors.js';
import { limits } from '../limits.js';
import { decodeMsgpack, encodeMsgpack } from '../wire/msgpack.js';
import { bySchema } from './records.js';
import type { Content } from './types.js';

/** Content as it arrived. */
export interface ReceivedContent {
  readonly content: Content;
  readonly text: string;
  readonly sentAtMs: number;
}

/** The control content of a new session's first message (section 5). `app` is the first application payload. */
export interface Hello {
  readonly incarnation: Uint8Array;
  readonly replaces: readonly Uint8Array[];
  readonly app?: Uint8Array | undefined;
}

function argument(field: string, message: string): UsageError {
  return new UsageError('ERR_ARGUMENT', message, { field });
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string') throw argument(field, 'must be a string');
  if (encodeUtf8(value) === undefined) throw argument(field, 'holds an unpaired surrogate');
  return value;
}

/** The application's content, checked. A plain string is text, bytes are bytes. Throws `ERR_ARGUMENT` with the field's path. */
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
    default:
      throw argument('content.kind', 'must be text, bytes or app');
  }
}

/** Encodes content for the wire. Throws `ERR_ARGUMENT` with the path of what has no encoding and the rule that it breaks, `ERR_LENGTH` beyond `limits.contentBytes`. */
export function encodeContent(content: Content, sentAtMs: number): Uint8Array {
  const { kind, ...rest } = content;
  const fields: Record<string, unknown> = { t: kind, at: sentAtMs };
  for (const [field, value] of Object.entries(rest)) if (value !== undefined) fields[field] = value;
  // `data.…` in the codec's paths is `content.data.…` to the caller.
  const payload = withContentPath(() => encodeMsgpack(fields));
  if (payload.length > limits.contentBytes) {
    throw new UsageError('ERR_LENGTH', `content is too long: at most ${limits.contentBytes} bytes encoded, and longer data in parts`, {
      field: 'content',
      got: payload.length,
      max: limits.contentBytes,
    });
  }
  return payload;
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
  const sentAtMs = value['at'];
  switch (value['t']) {
    case 'text': {
      const body = value['text'];
      if (typeof body !== 'string') throw malformed('text');
      return { content: { kind: 'text', text: body }, text: body, sentAtMs };
    }
    case 'bytes': {
      const bytes = value['bytes'];
      if (!(bytes instanceof Uint8Array)) throw malformed('bytes');
      return { content: { kind: 'bytes', bytes }, text: '', sentAtMs };
    }
    case 'app': {
      const { type, data, fallback } = value;
      if (typeof type !== 'string' || (fallback !== undefined && typeof fallback !== 'string')) throw malformed('type');
      return { content: { kind: 'app', type, data: data ?? null, fallback }, text: fallback ?? '', sentAtMs };
    }
    default:
      throw new DecodeError('ERR_VERSION', 'content of an unknown kind', { field: 't' });
  }
}

const helloSchema = { t: 'string', incarnation: 'bytes', replaces: 'list', app: 'bytes?' } as const;

/** Encodes a hello. */
export function encodeHello({ incarnation, replaces, app }: Hello): Uint8Array {
  return encodeMsgpack({ t: 'hello', incarnation, replaces, ...(app === undefined ? {} : { app }) });
}

/** Decodes control content, of which hello is the only one. Unknown fields are refused. Throws `ERR_DECODE`. */
export function decodeHello(payload: Uint8Array): Hello {
  const { t, ...hello } = bySchema(helloSchema, decodeMsgpack(payload), malformed);
  const is = (value: unknown, length: number): boolean => value instanceof Uint8Array && value.length === length;
  if (t !== 'hello' || !is(hello.incarnation, 16) || hello.replaces.length > 5 || !hello.replaces.every((id) => is(id, 16)))
    throw malformed('hello');
  return hello as Hello;
}
