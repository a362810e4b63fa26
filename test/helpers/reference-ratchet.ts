/**
 * A second implementation of sections 4.1–4.3 and 4.8, written from the specifications' pseudo-code and not from `src/ratchet`.
 *
 * It differs where it can: mutable objects, node:crypto, the sending step done at once on receipt, header keys found by trial as in
 * Signal's document, and two unbounded stores of skipped keys, one for each ratchet. It is no model of atomicity or of bounds.
 */

import * as node from 'node:crypto';
import type { Scka } from '../../src/ratchet/scka.js';
import type { Rng, SessionSecrets } from '../../src/step.js';

type Bytes = Buffer<ArrayBufferLike>;
const cat = (...parts: Uint8Array[]): Bytes => Buffer.concat(parts);
const be = (value: number, size: number): Bytes => {
  const out = Buffer.alloc(size);
  out.writeUIntBE(value, 0, size);
  return out;
};

function INFO(label: string, ...fields: Uint8Array[]): Bytes {
  const name = Buffer.from(`CYPHR/1 ${label}`, 'ascii');
  return cat(be(name.length, 1), name, ...fields.map((field) => cat(be(field.length, 2), field)));
}
const HMAC = (key: Uint8Array, data: Uint8Array): Bytes => node.createHmac('sha256', key).update(data).digest();
const EXTRACT = (salt: Uint8Array, ikm: Uint8Array): Bytes => HMAC(salt, ikm);
function EXPAND(prk: Uint8Array, info: Uint8Array, length: number): Bytes {
  let block: Bytes = Buffer.alloc(0);
  let out: Bytes = Buffer.alloc(0);
  for (let i = 1; out.length < length; i++) {
    block = HMAC(prk, cat(block, info, be(i, 1)));
    out = cat(out, block);
  }
  return out.subarray(0, length);
}
const HKDF = (salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, length: number): Bytes => EXPAND(EXTRACT(salt, ikm), info, length);

function HCHACHA20(key: Uint8Array, nonce16: Uint8Array): Bytes {
  const x = new Uint32Array(16);
  [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574].forEach((word, i) => {
    x[i] = word;
  });
  for (let i = 0; i < 8; i++) x[4 + i] = Buffer.from(key).readUInt32LE(4 * i);
  for (let i = 0; i < 4; i++) x[12 + i] = Buffer.from(nonce16).readUInt32LE(4 * i);
  const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
  const quarter = (a: number, b: number, c: number, d: number): void => {
    for (const [r1, r2] of [
      [16, 12],
      [8, 7],
    ] as const) {
      x[a]! += x[b]!;
      x[d] = rotate(x[d]! ^ x[a]!, r1);
      x[c]! += x[d]!;
      x[b] = rotate(x[b]! ^ x[c]!, r2);
    }
  };
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const out = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((from, to) => {
    out.writeUInt32LE(x[from]!, 4 * to);
  });
  return out;
}

function SEAL(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Bytes {
  const cipher = node.createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  return cat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}
function OPEN(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Bytes | null {
  const decipher = node.createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  decipher.setAAD(ad, { plaintextLength: sealed.length - 16 });
  decipher.setAuthTag(sealed.subarray(sealed.length - 16));
  try {
    return cat(decipher.update(sealed.subarray(0, sealed.length - 16)), decipher.final());
  } catch {
    return null;
  }
}
const XKEY = (key: Uint8Array, nonce: Uint8Array): [Bytes, Bytes] => [
  HCHACHA20(key, nonce.subarray(0, 16)),
  cat(Buffer.alloc(4), nonce.subarray(16)),
];

interface Pair {
  readonly pk: Bytes;
  readonly sk: Bytes;
}
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const importSecret = (sk: Uint8Array): node.KeyObject => node.createPrivateKey({ key: cat(PKCS8, sk), format: 'der', type: 'pkcs8' });
function GENERATE_DH(rng: Rng): Pair {
  const sk = Buffer.from(rng(32));
  return { sk, pk: node.createPublicKey(importSecret(sk)).export({ format: 'der', type: 'spki' }).subarray(12) };
}
const DH = ({ sk }: Pair, pk: Uint8Array): Bytes =>
  node.diffieHellman({
    privateKey: importSecret(sk),
    publicKey: node.createPublicKey({ key: cat(SPKI, pk), format: 'der', type: 'spki' }),
  });

function KDF_RK(rk: Uint8Array, dh: Uint8Array): [rk: Bytes, ck: Bytes, nhk: Bytes] {
  const okm = HKDF(rk, dh, INFO('rk'), 96);
  return [okm.subarray(0, 32), okm.subarray(32, 64), okm.subarray(64)];
}
const KDF_CK = (ck: Uint8Array): [ck: Bytes, mk: Bytes] => [HMAC(ck, Buffer.of(2)), HMAC(ck, Buffer.of(1))];
const KDF_SCKA_CK = (ck: Uint8Array, counter: number): [ck: Bytes, mk: Bytes] => {
  const okm = HKDF(Buffer.alloc(32), ck, INFO('scka/next', be(counter, 4)), 64);
  return [okm.subarray(0, 32), okm.subarray(32)];
};
const HK = (hk: Uint8Array): { key: Bytes; tag: Bytes } => {
  const okm = EXPAND(hk, INFO('hk'), 48);
  return { key: okm.subarray(0, 32), tag: okm.subarray(32) };
};

function PAD(plaintext: Uint8Array): Bytes {
  const length = plaintext.length + 1;
  let bucket = [512, 1024, 2048].find((size) => length <= size);
  if (bucket === undefined) {
    const e = Math.floor(Math.log2(length));
    const unit = 2 ** (e - (Math.floor(Math.log2(e)) + 1));
    bucket = length + ((unit - (length % unit)) % unit);
  }
  return cat(plaintext, Buffer.of(0x80), Buffer.alloc(bucket - length));
}

interface Direction {
  ck: Bytes;
  counter: number;
}

/** One side of a session. Every failure is a plain Error. */
export class ReferenceRatchet<S> {
  private DHs: Pair;
  private DHr: Bytes | null = null;
  private RK: Bytes;
  private CKs: Bytes | null = null;
  private CKr: Bytes | null = null;
  private HKs: Bytes | null = null;
  private HKr: Bytes | null = null;
  private NHKs: Bytes;
  private NHKr: Bytes;
  private Ns = 0;
  private Nr = 0;
  private PN = 0;
  private readonly MKSKIPPED = new Map<string, Bytes>();
  private readonly oldHeaderKeys = new Set<string>();

  private sckaRoot: Bytes;
  private readonly sends = new Map<number, Direction>();
  private readonly receives = new Map<number, Direction>();
  private readonly PQSKIPPED = new Map<string, Bytes>();
  private receivingEpoch = 0;
  private sckaState: S;

  private readonly TH: Bytes;
  private readonly role: 'initiator' | 'responder';
  private readonly profile: SessionSecrets['profile'];
  private readonly scka: Scka<S>;
  private readonly rng: Rng;

  constructor(scka: Scka<S>, secrets: SessionSecrets, rng: Rng) {
    this.scka = scka;
    this.rng = rng;
    this.role = secrets.role;
    this.profile = secrets.profile;
    this.TH = Buffer.from(secrets.transcriptHash);
    this.sckaState = scka.start(secrets.role, secrets.profile, secrets.sckaSecret);
    this.sckaRoot = Buffer.alloc(0);
    this.addChains(0, HKDF(Buffer.alloc(32), secrets.sckaSecret, INFO('scka/start'), 96));
    if (secrets.role === 'initiator') {
      this.DHs = GENERATE_DH(rng);
      this.DHr = Buffer.from(secrets.signedPrekey.publicKey);
      [this.RK, this.CKs, this.NHKs] = KDF_RK(secrets.rootKey, DH(this.DHs, this.DHr));
      this.HKs = Buffer.from(secrets.headerKeyA);
      this.NHKr = Buffer.from(secrets.nextHeaderKeyB);
    } else {
      this.DHs = { pk: Buffer.from(secrets.signedPrekey.publicKey), sk: Buffer.from(secrets.signedPrekey.secretKey) };
      this.RK = Buffer.from(secrets.rootKey);
      this.NHKs = Buffer.from(secrets.nextHeaderKeyB);
      this.NHKr = Buffer.from(secrets.headerKeyA);
    }
  }

  private addChains(epoch: number, okm: Bytes): void {
    this.sckaRoot = okm.subarray(0, 32);
    const [a2b, b2a] = [okm.subarray(32, 64), okm.subarray(64, 96)];
    this.sends.set(epoch, { ck: this.role === 'initiator' ? a2b : b2a, counter: 0 });
    this.receives.set(epoch, { ck: this.role === 'initiator' ? b2a : a2b, counter: 0 });
  }

  private addEpoch(emitted: { epoch: number; secret: Uint8Array } | null): void {
    if (emitted !== null) this.addChains(emitted.epoch, HKDF(this.sckaRoot, emitted.secret, INFO('scka/epoch', be(emitted.epoch, 4)), 96));
  }

  encrypt(plaintext: Uint8Array): Bytes {
    if (this.CKs === null || this.HKs === null) throw new Error('nothing received yet');
    const random = this.rng(32);
    const { next, message, emitted } = this.scka.send(this.sckaState, this.profile, this.rng);
    this.sckaState = next;
    this.addEpoch(emitted);
    const chain = this.sends.get(message.epoch - 1)!;
    chain.counter++;
    const [pqCk, mkPq] = KDF_SCKA_CK(chain.ck, chain.counter);
    chain.ck = pqCk;
    const [ck, mkEc] = KDF_CK(this.CKs);
    this.CKs = ck;
    const PRK = EXTRACT(mkPq, mkEc);
    const header = cat(
      this.DHs.pk,
      be(this.PN, 4),
      be(this.Ns++, 4),
      be(message.epoch, 4),
      be(chain.counter, 4),
      be(this.sends.get(message.epoch - 2)?.counter ?? 0, 4),
      be(message.type, 1),
      be(message.index, 2),
      be(0, 1),
      message.chunk,
    );
    const padded = PAD(plaintext);
    const digest = node.createHash('sha256').update(header).update(padded).digest();
    const nonce = HMAC(PRK, INFO('nonce', random, digest)).subarray(0, 24);
    const okm = EXPAND(PRK, INFO('msg', this.TH, nonce), 76);
    const { key, tag } = HK(this.HKs);
    const head = cat(Buffer.from('20010001', 'hex'), tag);
    const frame = cat(head, nonce, SEAL(...XKEY(key, nonce), INFO('hdr', this.TH, head), header), okm.subarray(44));
    return cat(frame, SEAL(okm.subarray(0, 32), okm.subarray(32, 44), INFO('body', this.TH, frame), padded));
  }

  decrypt(frame: Uint8Array): Bytes {
    const bytes = Buffer.from(frame);
    const chunk = { 1: 192, 2: 32, 3: 1152 }[this.profile];
    const bodyAt = 44 + 72 + chunk + 32;
    const tryHeader = (hk: Uint8Array): Bytes | null =>
      OPEN(...XKEY(HK(hk).key, bytes.subarray(20, 44)), INFO('hdr', this.TH, bytes.subarray(0, 20)), bytes.subarray(44, 116 + chunk));

    let found: { hk: Bytes; header: Bytes; next: boolean } | null = null;
    for (const hk of [...this.oldHeaderKeys].map((hex) => Buffer.from(hex, 'hex'))) {
      const header = tryHeader(hk);
      if (header !== null) found = { hk, header, next: false };
    }
    for (const [hk, next] of [
      [this.HKr, false],
      [this.NHKr, true],
    ] as const) {
      const header = found === null && hk !== null ? tryHeader(hk) : null;
      if (hk !== null && header !== null) found = { hk, header, next };
    }
    if (found === null) throw new Error('no header key');
    const { hk, header, next } = found;
    const field = (at: number): number => header.readUInt32BE(at);
    const [pn, n, pqEpoch, pqCtr, pqPrev] = [field(32), field(36), field(40), field(44), field(48)];

    const step = this.scka.receive(
      this.sckaState,
      { epoch: pqEpoch, type: header[52]!, index: header.readUInt16BE(53), chunk: header.subarray(56) },
      this.profile,
    );
    this.sckaState = step.next;
    this.addEpoch(step.emitted);

    const saved = this.MKSKIPPED.get(`${hk.toString('hex')}/${n}`);
    const mkEc = saved ?? this.stepTo(header.subarray(0, 32), pn, n, next);
    this.MKSKIPPED.delete(`${hk.toString('hex')}/${n}`);
    const PRK = EXTRACT(this.pqKey(pqEpoch - 1, pqCtr, pqPrev), mkEc);
    const okm = EXPAND(PRK, INFO('msg', this.TH, bytes.subarray(20, 44)), 76);
    if (!okm.subarray(44).equals(bytes.subarray(bodyAt - 32, bodyAt))) throw new Error('commitment');
    const padded = OPEN(
      okm.subarray(0, 32),
      okm.subarray(32, 44),
      INFO('body', this.TH, bytes.subarray(0, bodyAt)),
      bytes.subarray(bodyAt),
    );
    if (padded === null) throw new Error('body');
    return padded.subarray(0, padded.lastIndexOf(0x80));
  }

  private stepTo(dh: Bytes, pn: number, n: number, next: boolean): Bytes {
    if (next) {
      this.skip(pn);
      this.PN = this.Ns;
      this.Ns = 0;
      this.Nr = 0;
      this.HKs = this.NHKs;
      this.HKr = this.NHKr;
      this.DHr = Buffer.from(dh);
      [this.RK, this.CKr, this.NHKr] = KDF_RK(this.RK, DH(this.DHs, this.DHr));
      this.DHs = GENERATE_DH(this.rng);
      [this.RK, this.CKs, this.NHKs] = KDF_RK(this.RK, DH(this.DHs, this.DHr));
    }
    this.skip(n);
    const [ck, mk] = KDF_CK(this.CKr!);
    this.CKr = ck;
    this.Nr++;
    return mk;
  }

  private skip(until: number): void {
    while (this.CKr !== null && this.HKr !== null && this.Nr < until) {
      const [ck, mk] = KDF_CK(this.CKr);
      this.CKr = ck;
      this.MKSKIPPED.set(`${this.HKr.toString('hex')}/${this.Nr++}`, mk);
      this.oldHeaderKeys.add(this.HKr.toString('hex'));
    }
  }

  private pqKey(epoch: number, counter: number, previous: number): Bytes {
    const name = `${epoch}/${counter}`;
    if (epoch === this.receivingEpoch + 1) {
      this.pqSkip(this.receivingEpoch, previous);
      this.receivingEpoch = epoch;
    }
    if (epoch === this.receivingEpoch) this.pqSkip(epoch, counter);
    const key = this.PQSKIPPED.get(name);
    if (key === undefined) throw new Error('no post-quantum key');
    this.PQSKIPPED.delete(name);
    return key;
  }

  private pqSkip(epoch: number, until: number): void {
    const chain = this.receives.get(epoch)!;
    while (chain.counter < until) {
      chain.counter++;
      const [ck, mk] = KDF_SCKA_CK(chain.ck, chain.counter);
      chain.ck = ck;
      this.PQSKIPPED.set(`${epoch}/${chain.counter}`, mk);
    }
  }
}
