/**
 * The SDK's side of the live talk: one device on `@cyphr/e2ee/pqxdh` and `/ratchet`, which answers requests on stdin, one JSON line each, on
 * stdout. Bytes are hexadecimal. It is the one file here that imports the SDK, and the other side knows only these lines.
 */

import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { CyphrError, DecodeError } from '@cyphr/e2ee/errors';
import * as pqxdh from '@cyphr/e2ee/pqxdh';
import * as ratchet from '@cyphr/e2ee/ratchet';
// The seal has no subpath of its own: it belongs to what the client does for an application.
import { openFrame, sealFrame } from '../../src/pqxdh/seal.js';
import { parseInit, parseSealed } from '../../src/wire/frames.js';
import { decodeMsgpack, encodeMsgpack } from '../../src/wire/msgpack.js';
import * as objects from '../../src/wire/objects.js';
import { parsePlaintext } from '../../src/wire/plaintext.js';
import { decodeHeader, parseRatchetFrame } from '../../src/wire/ratchet-message.js';

const [, , account = 'sdk', seed = 'seed', now = '0'] = process.argv;
const nowMs = Number(now);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const utf8 = new TextEncoder();

let drawn = 0;
const rng: pqxdh.Rng = (length) => {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256')
      .update(`${seed}/${drawn + i}`)
      .digest(),
  );
  drawn += blocks.length;
  return Uint8Array.from(Buffer.concat(blocks).subarray(0, length));
};

const device = pqxdh.generateDevice(account, rng, nowMs);
const own = { account: device.account, device: device.device };
let { next: prekeys, out: published } = pqxdh.generatePrekeys(device, rng, nowMs);

interface Session {
  state: ratchet.RatchetState;
  /** What is put before a message, and sealed with it: gone once the peer has answered. */
  prefix: Uint8Array;
  readonly peer: { readonly address: pqxdh.Address; readonly setId: Uint8Array; readonly sealKey: Uint8Array } | undefined;
}
let session: Session | undefined;

type Fields = Readonly<Record<string, string | number | undefined>>;
const text = (fields: Fields, name: string): string => String(fields[name] ?? '');

/** What bytes of each kind are held to be: throws, or gives what the verdict may be compared by. */
const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  deviceList: objects.parseDeviceList,
  signedSet: objects.parseSignedSet,
  batch: objects.parseBatch,
  statement: objects.parseRootStatement,
  login: objects.parseLogin,
  entry: objects.parseOneTimeEntry,
  identity: (bytes) => objects.parseDeviceList(objects.parseIdentity(bytes).deviceList),
  sealed: parseSealed,
  init: parseInit,
  ratchet1: (bytes) => parseRatchetFrame(bytes, 1),
  ratchet2: (bytes) => parseRatchetFrame(bytes, 2),
  ratchet3: (bytes) => parseRatchetFrame(bytes, 3),
  header: decodeHeader,
  plaintext: (bytes) => {
    if (parsePlaintext(bytes) === undefined) throw new DecodeError('ERR_DECODE', 'not a plaintext');
  },
  msgpack: (bytes) => hex(encodeMsgpack(decodeMsgpack(bytes))),
};

function verdict(kind: string, bytes: Uint8Array): string {
  try {
    const value = DECODERS[kind]!(bytes);
    return typeof value === 'string' ? value : 'ok';
  } catch (error) {
    if (!(error instanceof CyphrError)) throw error;
    return error.code;
  }
}

const HANDLERS: Readonly<Record<string, (fields: Fields) => Fields>> = {
  bundle: ({ unit }) => ({
    account: own.account,
    device: own.device,
    identity: hex(published.identity),
    signedSet: hex(published.signedSet),
    ...(unit === undefined ? {} : { batch: hex(published.batch!.head), entry: hex(published.batch!.entries[Number(unit)]!) }),
  }),

  initiate: (fields) => {
    const address = { account: text(fields, 'account'), device: Number(fields['device']) };
    const oneTime =
      fields['batch'] === undefined ? {} : { oneTime: { head: unhex(text(fields, 'batch')), entry: unhex(text(fields, 'entry')) } };
    const bytes = { address, identity: unhex(text(fields, 'identity')), signedSet: unhex(text(fields, 'signedSet')), ...oneTime };
    const verified = pqxdh.verifyBundle(bytes, undefined, nowMs);
    const { secrets, prefix, setId, sealKey, sessionId } = pqxdh.initiate(
      device,
      verified,
      Number(fields['profile']) as 1 | 2 | 3,
      rng,
      nowMs,
    );
    session = { state: ratchet.initiateRatchet(secrets, rng), prefix, peer: { address, setId, sealKey } };
    return { sessionId: hex(sessionId) };
  },

  send: (fields) => {
    const { state, prefix, peer } = session!;
    const { next, out } = ratchet.encrypt(state, utf8.encode(text(fields, 'text')), rng);
    session = { ...session!, state: next };
    const isFirst = prefix.length > 0;
    const inner = Buffer.concat([prefix, out]);
    return { frame: hex(isFirst ? sealFrame(peer!.address, peer!.setId, peer!.sealKey, inner, rng) : out) };
  },

  receive: (fields) => {
    const frame = unhex(text(fields, 'frame'));
    const inner = frame[0] === 0x01 ? openFrame(prekeys, own, frame) : frame;
    const { message, accepted } = unwrap(inner);
    const state = accepted === undefined ? session!.state : ratchet.acceptRatchet(accepted.out.secrets);
    const { next, out } = ratchet.decrypt(state, message);
    if (accepted !== undefined) {
      session = { state: next, prefix: new Uint8Array(), peer: undefined };
      prekeys = accepted.next;
    } else session = { ...session!, state: next, prefix: new Uint8Array() };
    return { text: new TextDecoder().decode(out) };
  },

  forget: () => {
    session = undefined;
    return {};
  },

  verdicts: (fields) => ({
    verdicts: text(fields, 'all')
      .split(',')
      .map((each) => verdict(text(fields, 'kind'), unhex(each)))
      .join(','),
  }),

  epochs: () => ({ sending: session!.state.pq.sending.epoch, receiving: session!.state.pq.receiving.epoch }),
};

/** The ratchet message in a frame without its seal; the Init of another session than this one is accepted. */
function unwrap(inner: Uint8Array): { message: Uint8Array; accepted?: ReturnType<typeof pqxdh.accept> } {
  if (inner[0] !== 0x10) return { message: inner };
  const accepted = session === undefined ? pqxdh.accept(prekeys, device, inner, nowMs) : undefined;
  return accepted === undefined ? { message: parseInit(inner).ratchetMessage } : { message: accepted.out.ratchetMessage, accepted };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, id, ...fields } = JSON.parse(line) as Fields & { op: string };
  let answer: Fields;
  try {
    answer = HANDLERS[op]!(fields);
  } catch (error) {
    if (!(error instanceof CyphrError)) throw error;
    answer = { code: error.code };
  }
  process.stdout.write(`${JSON.stringify({ ...answer, id })}\n`);
}
