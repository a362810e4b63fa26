/**
 * Both decoders before the same bytes: objects, frames and MessagePack, whole and damaged. What one takes and the other refuses is a fault of one of
 * them or of the document, and so are two different codes.
 */
import { ascii, concat, hex, u8, u16, u32, unhex, zeros } from './bytes.mjs';
import { createDevice } from './device.mjs';
import { must } from './expect.mjs';
import { decodeInit } from './handshake.mjs';
import { decodeMsgpack, decodePlaintext, encodeMsgpack, encodePlaintext } from './msgpack.mjs';
import * as objects from './objects.mjs';
import { decodeHeader, decodeMessage } from './ratchet.mjs';
import { startSdk } from './sdk-process.mjs';
import { decodeSealed } from './seal.mjs';
import { decimalStream } from './streams.mjs';
import { NOW } from './talk.mjs';

const DECODERS = {
  deviceList: objects.decodeDeviceList,
  signedSet: objects.decodeSignedSet,
  batch: objects.decodeBatch,
  statement: objects.decodeRootStatement,
  login: objects.decodeLogin,
  entry: objects.decodeEntry,
  identity: objects.decodeIdentity,
  sealed: decodeSealed,
  init: decodeInit,
  ratchet1: (bytes) => decodeMessage(bytes, 192),
  ratchet2: (bytes) => decodeMessage(bytes, 32),
  ratchet3: (bytes) => decodeMessage(bytes, 1152),
  header: decodeHeader,
  plaintext: decodePlaintext,
  msgpack: (bytes) => hex(encodeMsgpack(decodeMsgpack(bytes))),
};
function verdict(kind, bytes) {
  try {
    const value = DECODERS[kind](bytes);
    return typeof value === 'string' ? value : 'ok';
  } catch (error) {
    return error.code ?? String(error);
  }
}

/** One whole example of each kind. */
function examples(random) {
  const device = createDevice('independent', NOW, random);
  const peer = createDevice('än other', NOW, random);
  device.start(peer.bundle(64), 1);
  const { identity, signedSet, oneTime } = peer.bundle(64);
  const list = hex(device.party.list);
  const message = (c) => concat(Buffer.from([0x20, 1, 0, 1]), random(16 + 24 + 72 + c + 32 + 16 + 512));
  const header = concat(random(32), ...[1, 2, 3, 9, 4].map(u32), u8(1), u16(700), u8(0), random(192));
  const login = [u16(5), ascii('relay'), u16(32), random(32), u16(3), ascii('bob'), u16(0), u16(9), random(16), zeros(8), random(3373)];
  const statement = [u16(3), ascii('bob'), random(64), zeros(16), random(48), random(16224)];
  return {
    deviceList: unhex(list),
    signedSet,
    batch: oneTime.batch,
    statement: concat(Buffer.from([0x43, 1, 0, 1]), ...statement),
    login: concat(Buffer.from([0x45, 1, 0, 1]), ...login),
    entry: oneTime.entry,
    identity,
    sealed: device.send(ascii('hello')),
    init: concat(device.sessions[0].init, message(192)),
    ratchet1: message(192),
    ratchet2: message(32),
    ratchet3: message(1152),
    header,
    plaintext: encodePlaintext({
      kind: 1,
      msgId: random(16),
      ownListVersion: 5,
      peerListVersion: 7,
      ownListHash: random(8),
      payload: random(9),
    }),
  };
}

/** `count` damaged forms of an example: fields overwritten near the beginning or anywhere, cut off, lengthened. */
function* damaged(example, count, random) {
  yield example;
  const below = (limit) => random(4).readUInt32BE() % limit;
  const values = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff];
  for (let i = 0; i < count; i += 1) {
    const bytes = Buffer.from(example);
    const kind = below(8);
    if (kind === 0) yield bytes.subarray(0, below(bytes.length));
    else if (kind === 1) yield concat(bytes, random(1 + below(3)));
    else {
      const span = kind < 6 ? Math.min(bytes.length, 130) : bytes.length;
      const [at, width] = [below(span), 1 + below(4)];
      bytes.fill(kind === 7 ? random(1)[0] : values[below(values.length)], at, Math.min(at + width, bytes.length));
      yield bytes;
    }
  }
}

/** A random MessagePack value of at most `depth` levels. */
function randomValue(random, depth) {
  const byte = random(1)[0];
  if (depth > 0 && byte % 3 === 0) return Array.from({ length: byte % 5 }, () => randomValue(random, depth - 1));
  if (depth > 0 && byte % 3 === 1) {
    return Object.fromEntries(Array.from({ length: byte % 5 }, (_, i) => [`k${i}`, randomValue(random, depth - 1)]));
  }
  const number = random(8).readBigInt64BE() >> BigInt(random(1)[0] % 64);
  const integer = number >= -(2n ** 53n) && number <= 2n ** 53n ? Number(number) : number;
  return [null, true, integer, integer, 0.5 + Number(BigInt.asIntN(20, number)), 'ä'.repeat(byte), random(byte), ''][byte % 8];
}
function* messagePack(count, random) {
  for (let i = 0; i < count; i += 1) {
    const bytes = encodeMsgpack(randomValue(random, 3));
    yield bytes;
    const changed = Buffer.from(bytes);
    changed[random(2).readUInt16BE() % Math.min(changed.length, 40)] = random(1)[0];
    yield changed;
    yield random(1 + (random(1)[0] % 6));
  }
}

/** All kinds, `count` inputs each; gives how many were taken and refused. */
export async function compareDecoders(seed, count = 300) {
  const sdk = startSdk('sdk-side.ts', 'sdk', `${seed}/sdk`, String(NOW));
  try {
    const random = decimalStream(seed);
    const figures = { taken: 0, refused: 0 };
    // A header's length is that of hdrCt, which the frame's layout fixes.
    const inputs = Object.entries(examples(random)).map(([kind, example]) => [
      kind,
      [...damaged(example, count, random)].filter((bytes) => kind !== 'header' || bytes.length === example.length),
    ]);
    for (const [kind, all] of [...inputs, ['msgpack', [...messagePack(4 * count, random)]]]) {
      const theirs = (await sdk.ask('verdicts', { kind, all: all.map(hex).join(',') })).verdicts.split(',');
      all.forEach((bytes, i) => {
        const ours = verdict(kind, bytes);
        // What is of another type, and of another version too, may be refused for either.
        const isOtherType = kind !== 'msgpack' && bytes[0] !== all[0][0] && [ours, theirs[i]].every((each) => each.startsWith('ERR_'));
        must(
          ours === theirs[i] || isOtherType,
          `${kind}: here ${ours}, the SDK ${theirs[i]}: ${hex(bytes.subarray(0, 200))} (${bytes.length})`,
        );
        figures[ours.startsWith('ERR_') ? 'refused' : 'taken'] += 1;
      });
      must(kind === 'msgpack' || theirs[0] === 'ok', `${kind}: the whole one was refused`);
    }
    return figures;
  } finally {
    sdk.stop();
  }
}
