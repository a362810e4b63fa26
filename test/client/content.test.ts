import { describe, expect, test } from 'vitest';
import { decodeContent, decodeHello, encodeContent, encodeHello, stampContent, toContent } from '../../src/client/content.js';
import { encodeControl } from '../../src/client/control.js';
import type { MessageId } from '../../src/client/types.js';
import { limits, wireLimits } from '../../src/limits.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { PLAINTEXT_HEAD_BYTES } from '../../src/wire/plaintext.js';
import { coded, usage } from '../helpers/matchers.js';

const encode = (content: unknown): Uint8Array => encodeContent(toContent(content), 1_767_225_600_123);
const round = (content: unknown) => decodeContent(encode(content));

describe('content', () => {
  test('text, bytes and application data come back as they were', () => {
    expect(round('Grüße 👋')).toEqual({ content: { kind: 'text', text: 'Grüße 👋' }, text: 'Grüße 👋', sentAtMs: 1_767_225_600_123 });
    expect(round({ kind: 'text', text: '' }).text).toBe('');
    expect(round(new Uint8Array([0, 1, 255])).content).toEqual({ kind: 'bytes', bytes: new Uint8Array([0, 1, 255]) });
    expect(round({ kind: 'bytes', bytes: new Uint8Array(0) }).text).toBe('');
    const data = { q: 'Lunch?', options: ['yes', null, true, -5, 2 ** 40, 0.5, 2n ** 60n, new Uint8Array([9])], nested: { a: [[{}]] } };
    expect(round({ kind: 'app', type: 'com.example.poll', data, fallback: 'A poll' })).toMatchObject({
      content: { kind: 'app', type: 'com.example.poll', data, fallback: 'A poll' },
      text: 'A poll',
    });
    expect(round({ kind: 'app', type: 'x' })).toMatchObject({ content: { data: null, fallback: undefined }, text: '' });
  });

  const target = '00112233445566778899aabbccddeeff' as MessageId;

  test('edits, reactions, deletions and timers come back as they were', () => {
    for (const [content, text] of [
      [{ kind: 'edit', target, text: 'better' }, 'better'],
      [{ kind: 'edit', target, text: '' }, ''],
      [{ kind: 'reaction', target, emoji: '👩\u200d👩\u200d👧' }, ''],
      [{ kind: 'reaction', target, emoji: '' }, ''],
      [{ kind: 'deletion', target }, ''],
      [{ kind: 'timer', disappearAfterMs: 0 }, ''],
      [{ kind: 'timer', disappearAfterMs: limits.disappearAfterMs }, ''],
    ] as const) {
      expect(round(content)).toMatchObject({ content, text });
    }
    for (const id of [undefined, 5, '', `${target}00`, target.toUpperCase(), `${target.slice(1)}g`]) {
      expect(() => toContent({ kind: 'deletion', target: id }), String(id)).toThrow(usage('ERR_ARGUMENT', 'content.target'));
    }
    expect(() => toContent({ kind: 'edit', target })).toThrow(usage('ERR_ARGUMENT', 'content.text'));
    expect(() => toContent({ kind: 'reaction', target })).toThrow(usage('ERR_ARGUMENT', 'content.emoji'));
    expect(() => toContent({ kind: 'reaction', target, emoji: '\ud83d' })).toThrow(usage('ERR_ARGUMENT', 'content.emoji'));
    const most = 'é'.repeat(limits.emojiBytes / 2);
    expect(round({ kind: 'reaction', target, emoji: most })).toMatchObject({ content: { emoji: most } });
    expect(() => toContent({ kind: 'reaction', target, emoji: `${most}!` })).toThrow(
      expect.objectContaining({ code: 'ERR_LENGTH', field: 'content.emoji', got: limits.emojiBytes + 1, max: limits.emojiBytes }),
    );
    for (const ms of [undefined, -1, 0.5, Number.NaN, limits.disappearAfterMs + 1, '5'])
      expect(() => toContent({ kind: 'timer', disappearAfterMs: ms })).toThrow(usage('ERR_ARGUMENT', 'content.disappearAfterMs'));
  });

  test('a stamp comes back with any content, the largest too, and adds at most 22 bytes', () => {
    const stamp = { order: Number.MAX_SAFE_INTEGER, disappearAfterMs: limits.disappearAfterMs };
    const largest = encode('x'.repeat(limits.contentBytes - encode('').length - 2));
    const mostValues = encode({ kind: 'app', type: 't', data: Array.from({ length: 4_089 }, () => 0) });
    for (const payload of [encode('hi'), encode({ kind: 'deletion', target }), largest, mostValues]) {
      const { stamp: none, ...plain } = decodeContent(payload);
      expect(none).toBeUndefined();
      const stamped = stampContent(payload, stamp);
      expect(decodeContent(stamped)).toEqual({ ...plain, stamp });
      expect(stamped.length - payload.length).toBeLessThanOrEqual(22);
      expect(decodeContent(stampContent(payload, { order: 0 })).stamp).toEqual({ order: 0 });
    }
  });

  test('what has no encoding is named by its path', () => {
    const app = (data: unknown) => () => encode({ kind: 'app', type: 't', data });
    expect(app({ options: [1, 2, () => 3] })).toThrow(usage('ERR_ARGUMENT', 'content.data.options[2]'));
    expect(app({ when: new Date() })).toThrow(usage('ERR_ARGUMENT', 'content.data.when'));
    expect(app([Number.NaN])).toThrow(usage('ERR_ARGUMENT', 'content.data[0]'));
    expect(app({ '': 1 })).toThrow(usage('ERR_ARGUMENT', 'content.data.'));
    expect(app({ text: 'a\ud800' })).toThrow(usage('ERR_ARGUMENT', 'content.data.text'));
    expect(app(Symbol('s'))).toThrow(usage('ERR_ARGUMENT', 'content.data'));
  });

  test('a refusal says which rule is broken, and where', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 8; i++) deep = [deep];
    const hidden = Object.defineProperty({}, 'x', { value: 1, enumerable: false });
    for (const [data, path, rule] of [
      [{ 'first-name': 1 }, 'data.first-name', '[a-zA-Z0-9_]{1,32}'],
      [{ ['k'.repeat(33)]: 1 }, `data.${'k'.repeat(33)}`, '[a-zA-Z0-9_]{1,32}'],
      [{ constructor: 1 }, 'data.constructor', '__proto__, constructor, prototype'],
      [{ deep }, 'data.deep[0][0][0][0][0][0]', 'more than 8 deep'],
      [{ n: -0 }, 'data.n', 'not −0'],
      [{ n: Number.POSITIVE_INFINITY }, 'data.n', 'finite'],
      [{ big: 7n }, 'data.big', 'bigint only beyond ±2⁵³'],
      [{ big: 2n ** 64n }, 'data.big', 'within 64 bits'],
      [{ text: '\udc00' }, 'data.text', 'surrogate'],
      [{ run: () => {} }, 'data.run', 'must be null, a boolean'],
      [{ nothing: undefined }, 'data.nothing', 'must be null, a boolean'],
      [{ when: new Date(0) }, 'data.when', 'plain object'],
      [{ list: new Array(3) }, 'data.list', 'holes'],
      [{ hidden }, 'data.hidden', 'hidden'],
      [Array.from({ length: 5_000 }, () => 0), 'data[4089]', '4094'],
    ] as const) {
      const refused = { code: 'ERR_ARGUMENT', field: `content.${path}`, message: expect.stringContaining(rule) };
      expect(() => encode({ kind: 'app', type: 't', data }), path).toThrow(expect.objectContaining(refused));
      expect(() => encode({ kind: 'app', type: 't', data }), path).toThrow(`content.${path} `);
    }
  });

  test('unpaired surrogates and wrong kinds are refused', () => {
    expect(() => toContent('a\udc00')).toThrow(usage('ERR_ARGUMENT', 'content'));
    expect(() => toContent({ kind: 'text', text: '\ud800b' })).toThrow(usage('ERR_ARGUMENT', 'content.text'));
    expect(() => toContent({ kind: 'text' })).toThrow(usage('ERR_ARGUMENT', 'content.text'));
    expect(() => toContent({ kind: 'bytes', bytes: [1] })).toThrow(usage('ERR_ARGUMENT', 'content.bytes'));
    expect(() => toContent({ kind: 'app', type: '' })).toThrow(usage('ERR_ARGUMENT', 'content.type'));
    expect(() => toContent({ kind: 'app', type: 't', fallback: 5 })).toThrow(usage('ERR_ARGUMENT', 'content.fallback'));
    expect(() => toContent({ kind: 'poll' })).toThrow(usage('ERR_ARGUMENT', 'content.kind'));
    for (const content of [undefined, null, 5]) expect(() => toContent(content)).toThrow(usage('ERR_ARGUMENT', 'content'));
  });

  test('the largest content goes, one byte more does not', () => {
    const overhead = encode('').length;
    // 3 bytes announce a length beyond 255, one a short one.
    const most = limits.contentBytes - overhead - 2;
    expect(encode('x'.repeat(most)).length).toBe(limits.contentBytes);
    // What the docstring of `send()` says of text.
    expect(most).toBeGreaterThanOrEqual(limits.contentBytes - 30);
    const edited = 'x'.repeat(limits.contentBytes - 60);
    expect(encode({ kind: 'edit', target, text: edited }).length).toBeLessThanOrEqual(limits.contentBytes);
    expect(() => encode('x'.repeat(most + 1))).toThrow(
      expect.objectContaining({ code: 'ERR_LENGTH', field: 'content', got: limits.contentBytes + 1, max: limits.contentBytes }),
    );
  });

  test('T46: a kind of a later version is told from damage, and unknown fields are ignored', () => {
    expect(() => decodeContent(encodeMsgpack({ t: 'poll', at: 1 }))).toThrow(coded('ERR_VERSION'));
    expect(decodeContent(encodeMsgpack({ t: 'text', at: 1, text: 'hi', replyTo: 'x' })).text).toBe('hi');
  });

  test('T40: malformed content is a DecodeError', () => {
    for (const value of [
      null,
      [],
      'text',
      {},
      { t: 'text', text: 'x' },
      { t: 5, at: 1 },
      { t: 'text', at: 1 },
      { t: 'bytes', at: 1, bytes: 'x' },
      { t: 'app', at: 1 },
      { t: 'app', at: 1, type: 't', fallback: 1 },
      { t: 'edit', at: 1, text: 'x' },
      { t: 'edit', at: 1, target: new Uint8Array(15), text: 'x' },
      { t: 'edit', at: 1, target: new Uint8Array(16) },
      { t: 'reaction', at: 1, target: new Uint8Array(16), emoji: 'x'.repeat(65) },
      { t: 'deletion', at: 1, target: '00112233445566778899aabbccddeeff' },
      { t: 'timer', at: 1, disappearAfterMs: -1 },
      { t: 'timer', at: 1, disappearAfterMs: 2 ** 40 },
      { t: 'text', at: 1, text: 'x', o: -1 },
      { t: 'text', at: 1, text: 'x', o: 0.5 },
      { t: 'text', at: 1, text: 'x', o: 2n ** 60n },
      { t: 'text', at: 1, text: 'x', x: 5 },
      { t: 'text', at: 1, text: 'x', o: 1, x: 0 },
      { t: 'text', at: 1, text: 'x', o: 1, x: 'soon' },
    ]) {
      expect(() => decodeContent(encodeMsgpack(value))).toThrow(expect.objectContaining({ name: 'DecodeError', code: 'ERR_DECODE' }));
    }
    expect(() => decodeContent(new Uint8Array([0xc1]))).toThrow(coded('ERR_DECODE'));
  });
});

describe('hello', () => {
  const incarnation = new Uint8Array(16).fill(1);

  test('the largest content with its stamp fits into a new session’s first message, also as a copy for an own device', () => {
    const largest = encode('x'.repeat(limits.contentBytes - encode('').length - 2));
    const app = stampContent(largest, { order: Number.MAX_SAFE_INTEGER, disappearAfterMs: limits.disappearAfterMs });
    const control = encodeControl({ t: 'copy', to: 'x'.repeat(limits.accountBytes), id: new Uint8Array(16), app });
    const replaces = Array.from({ length: 5 }, () => new Uint8Array(16));
    const room = wireLimits.plaintextBytes - PLAINTEXT_HEAD_BYTES;
    for (const said of [{ app }, { control }]) expect(encodeHello({ incarnation, replaces, ...said }).length).toBeLessThanOrEqual(room);
  });

  test('comes back as it was, with and without a first message', () => {
    const hello = { incarnation, replaces: [new Uint8Array(16).fill(2)], app: encode('hi') };
    expect(decodeHello(encodeHello(hello))).toEqual(hello);
    expect(decodeHello(encodeHello({ incarnation, replaces: [] }))).toEqual({ incarnation, replaces: [] });
  });

  test('T40: anything else is refused, unknown fields too', () => {
    const good = { t: 'hello', incarnation, replaces: [] as unknown[] };
    for (const value of [
      { ...good, incarnation: new Uint8Array(15) },
      { ...good, replaces: [new Uint8Array(15)] },
      { ...good, replaces: ['x'] },
      { ...good, replaces: Array.from({ length: 6 }, () => new Uint8Array(16)) },
      { ...good, more: 1 },
      { t: 'hello', replaces: [] },
    ]) {
      expect(() => decodeHello(encodeMsgpack(value))).toThrow(coded('ERR_DECODE'));
    }
    expect(decodeHello(encodeMsgpack({ ...good, t: 'bye' })), 'control content of another kind').toBeUndefined();
  });
});
