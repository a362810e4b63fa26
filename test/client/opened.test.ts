import { expect, test } from 'vitest';
import { encodeControl } from '../../src/client/control.js';
import { readPlaintext } from '../../src/client/opened.js';
import type { ErrorCode } from '../../src/errors.js';
import { encodeMsgpack } from '../../src/wire/msgpack.js';
import { encodePlaintext } from '../../src/wire/plaintext.js';

const lists = { ownListVersion: 1, peerListVersion: 1, ownListHash: new Uint8Array(8) };
const messageId = new Uint8Array(16).fill(1);
const copyOf = (app: Uint8Array): Uint8Array => encodeControl({ t: 'copy', to: 'bob', id: messageId, app });

test('a copy whose content is of a kind that only newer versions know, or none at all, is told like a message with it', () => {
  const faults: ErrorCode[] = [];
  const read = (kind: 'app' | 'control', payload: Uint8Array) =>
    readPlaintext(encodePlaintext({ kind, messageId, ...lists, payload }), (code) => faults.push(code));
  for (const [app, code] of [
    [encodeMsgpack({ t: 'poll', at: 1 }), 'ERR_VERSION'],
    [new Uint8Array([0xc1]), 'ERR_DECODE'],
  ] as const) {
    for (const { opened, unreadable } of [read('app', app), read('control', copyOf(app))]) {
      expect(unreadable).toBe(code);
      expect(opened).toMatchObject({ payload: undefined, control: undefined });
    }
    expect(faults.splice(0)).toEqual([code, code]);
  }
});
