/** What is timed: for each case two classes of inputs, made before the clock starts. Prints the figures as JSON. */

import { concat, copy, equal } from '../../src/bytes.js';
import { chachaOpen, chachaSeal, mlKem768, mlKem1024, x25519, x25519KeyPair, xchachaOpen, xchachaSeal } from '../../src/crypto/suite.js';
import { xwingDecapsulate, xwingEncapsulate, xwingPublicKey } from '../../src/crypto/xwing.js';
import { acceptRatchet, decrypt, encrypt, initiateRatchet } from '../../src/ratchet/ratchet.js';
import { seededRng } from '../../src/testing/rng.js';
import { compareClasses, type Verdict } from './welch.js';

type Bytes = Uint8Array;

interface Case {
  readonly name: string;
  /** Calls per sample, so that a sample is longer than the clock's grain. */
  readonly calls: number;
  readonly samples: number;
  /** A fresh input of a class: equal bytes come in arrays of their own, so that no cache tells the classes apart. */
  readonly input: (isFixed: boolean) => Bytes;
  readonly run: (input: Bytes) => unknown;
}

/** What a child process reports. */
export interface Report {
  readonly node: string;
  readonly arch: string;
  readonly cases: Readonly<Record<string, Verdict>>;
}

const rng = seededRng('timing');
const random = (length: number): Bytes => rng(length);
const EMPTY = new Uint8Array(0);

/** Runs what may refuse its input; a refusal is as good as a result. */
function settle(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

/** A comparison as one should not write it: the control. */
function leakyEqual(a: Bytes, b: Bytes): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const changed = (bytes: Bytes, position: number): Bytes => {
  const out = copy(bytes);
  out[position]! ^= 1;
  return out;
};

const secret = random(32);
const key = random(32);
const sealed = chachaSeal(key, new Uint8Array(12), EMPTY, random(512));
const header = xchachaSeal(key, new Uint8Array(24), EMPTY, random(248));
const scalar = new Uint8Array(32);
const peer = x25519KeyPair(random(32)).publicKey;

/** `bytes` with something else from `start` to `end`: a part that is right but for its last bit, or a random one. Both made the same way. */
function spoilt(bytes: Bytes, start: number, end: number, isFixed: boolean): Bytes {
  const drawn = random(end - start);
  const near = changed(bytes.subarray(start, end), end - start - 1);
  return concat(bytes.subarray(0, start), isFixed ? near : drawn, bytes.subarray(end));
}

/** Both are made, one is used. */
const twoWays = (fixed: Bytes, drawn: Bytes, isFixed: boolean): Bytes => (isFixed ? fixed : drawn);

function decapsulation(kem: typeof mlKem768): Pick<Case, 'input' | 'run'> {
  const seed = random(64);
  const publicKey = kem.publicKey(seed);
  return {
    input: (isFixed) => {
      const { kemCiphertext } = kem.encapsulate(publicKey, random(32));
      return twoWays(copy(kemCiphertext), changed(kemCiphertext, 5), isFixed);
    },
    run: (ciphertext) => kem.decapsulate(seed, ciphertext),
  };
}

function xwing(): Pick<Case, 'input' | 'run'> {
  const seed = random(32);
  const publicKey = xwingPublicKey(seed);
  return {
    input: (isFixed) => {
      const { kemCiphertext } = xwingEncapsulate(publicKey, random(64));
      return twoWays(copy(kemCiphertext), changed(kemCiphertext, 5), isFixed);
    },
    run: (ciphertext) => xwingDecapsulate(seed, ciphertext),
  };
}

/** A session's receiver, and the frame that it waits for. */
function session() {
  const pair = x25519KeyPair(random(32));
  const common = {
    profile: 1,
    transcriptHash: random(64),
    rootKey: random(32),
    headerKeyA: random(32),
    nextHeaderKeyB: random(32),
    sckaSecret: random(32),
  } as const;
  const publicOnly = { publicKey: pair.publicKey, secretKey: EMPTY };
  const sender = initiateRatchet({ ...common, role: 'initiator', signedPrekey: publicOnly }, rng);
  const receiver = acceptRatchet({ ...common, role: 'responder', signedPrekey: pair });
  const first = encrypt(sender, random(100), rng);
  return { receiver: decrypt(receiver, first.out).next, frame: encrypt(first.next, random(100), rng).out };
}
const { receiver, frame } = session();
const HEADER_END = 44 + 56 + 192 + 16;

const CASES: readonly Case[] = [
  {
    name: 'control: a comparison that stops at the first difference',
    calls: 64,
    samples: 40_000,
    input: (isFixed) => twoWays(copy(secret), random(32), isFixed),
    run: (input) => leakyEqual(input, secret),
  },
  {
    name: '`equal`, 32 bytes: equal / random',
    calls: 64,
    samples: 40_000,
    input: (isFixed) => twoWays(copy(secret), random(32), isFixed),
    run: (input) => equal(input, secret),
  },
  {
    name: '`equal`, 32 bytes: differs in the last bit / random',
    calls: 64,
    samples: 40_000,
    input: (isFixed) => spoilt(secret, 0, 32, isFixed),
    run: (input) => equal(input, secret),
  },
  {
    name: 'ChaCha20-Poly1305, 512 bytes, refused: tag wrong in one bit / random tag',
    calls: 1,
    samples: 20_000,
    input: (isFixed) => spoilt(sealed, sealed.length - 16, sealed.length, isFixed),
    run: (input) => settle(() => chachaOpen(key, new Uint8Array(12), EMPTY, input)),
  },
  {
    name: 'XChaCha20-Poly1305, a header, refused: tag wrong in one bit / random tag',
    calls: 1,
    samples: 20_000,
    input: (isFixed) => spoilt(header, header.length - 16, header.length, isFixed),
    run: (input) => settle(() => xchachaOpen(key, new Uint8Array(24), EMPTY, input)),
  },
  {
    name: 'XChaCha20-Poly1305, a header, opened: fixed / random content',
    calls: 1,
    samples: 20_000,
    input: (isFixed) => xchachaSeal(key, new Uint8Array(24), EMPTY, twoWays(new Uint8Array(248), random(248), isFixed)),
    run: (input) => xchachaOpen(key, new Uint8Array(24), EMPTY, input),
  },
  { name: 'ML-KEM-768 decapsulation: valid / implicitly rejected', calls: 1, samples: 6_000, ...decapsulation(mlKem768) },
  { name: 'ML-KEM-1024 decapsulation: valid / implicitly rejected', calls: 1, samples: 6_000, ...decapsulation(mlKem1024) },
  { name: 'X-Wing decapsulation: valid / implicitly rejected', calls: 1, samples: 4_000, ...xwing() },
  {
    name: 'X25519: scalar of zeros (2²⁵⁴ as used) / random scalar',
    calls: 1,
    samples: 6_000,
    input: (isFixed) => twoWays(copy(scalar), random(32), isFixed),
    run: (input) => x25519(input, peer),
  },
  {
    name: 'ratchet message refused by its header: tag wrong in one bit / random tag',
    calls: 1,
    samples: 20_000,
    input: (isFixed) => spoilt(frame, HEADER_END - 16, HEADER_END, isFixed),
    run: (input) => settle(() => decrypt(receiver, input)),
  },
  {
    name: 'ratchet message refused by its commitment: wrong in one bit / random commitment',
    calls: 1,
    samples: 8_000,
    input: (isFixed) => spoilt(frame, HEADER_END, HEADER_END + 32, isFixed),
    run: (input) => settle(() => decrypt(receiver, input)),
  },
  {
    name: 'ratchet message refused: by its header / by its body',
    calls: 1,
    samples: 6_000,
    input: (isFixed) => changed(frame, isFixed ? HEADER_END - 1 : frame.length - 1),
    run: (input) => settle(() => decrypt(receiver, input)),
  },
];

/** Results go somewhere, and the same way whatever they are: else an engine leaves the call out, or a branch on them is what is measured. */
const results: unknown[] = [undefined, undefined];

/** Times in nanoseconds of one call, by class. Which class comes next is drawn; a batch is made, then timed. */
function measure({ calls, samples, input, run }: Case): Verdict {
  const times: [number[], number[]] = [[], []];
  const BATCH = 500;
  // The first batches warm up, and are thrown away.
  for (let done = -2 * BATCH; done < samples; done += BATCH) {
    const classes = Array.from(random(BATCH), (byte) => byte & 1);
    const inputs = classes.map((which) => input(which === 0));
    for (let i = 0; i < BATCH; i++) {
      const given = inputs[i]!;
      const startNs = process.hrtime.bigint();
      for (let call = 0; call < calls; call++) results[call & 1] = run(given);
      const endNs = process.hrtime.bigint();
      if (done >= 0) times[classes[i] as 0 | 1].push(Number(endNs - startNs) / calls);
    }
  }
  return compareClasses(times[0], times[1]);
}

const cases = Object.fromEntries(CASES.map((each) => [each.name, measure(each)]));
const report: Report = { node: process.versions.node, arch: process.arch, cases };
process.stdout.write(JSON.stringify(report));
