import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { concat, encodeUtf8, toHex } from '../../src/bytes.js';
import { info } from '../../src/crypto/labels.js';
import { chachaOpen, chachaSeal, hkdfSha512, sha512_256 } from '../../src/crypto/suite.js';
import { keyHash } from '../../src/identity/account.js';
import { entryOf, generateDevice, generateDeviceKeys, relist } from '../../src/identity/device.js';
import { encodeLinkTyped, readLinkCode } from '../../src/identity/link-code.js';
import {
  acceptLinkRequest,
  generateLinkOffer,
  type LinkExchange,
  openLinkAnswer,
  openLinkChallenge,
  parseLinkCode,
  requestLink,
  sealLinkGrant,
  sealLinkRefusal,
} from '../../src/identity/linking.js';
import { parseDeviceList } from '../../src/wire/objects.js';
import { codeOf } from '../helpers/expect-code.js';
import { flip, testRng } from '../helpers/rng.js';
import { filledDuring } from '../helpers/secrets.js';

const NOW = 1_767_225_600_000;
const old = generateDevice('alice', testRng('old'), NOW);
const fresh = generateDeviceKeys(testRng('new'));
const publicKeys = { device: fresh.device, deviceKey: fresh.deviceKey.publicKey, dhKey: fresh.dhKey.publicKey };

const listWith = (...entries: readonly ReturnType<typeof entryOf>[]): Uint8Array => {
  const all = [...parseDeviceList(old.deviceList).entries, ...entries].sort((a, b) => a.device - b.device);
  return relist(old, all, NOW, testRng('list')).deviceList;
};

/** Both devices up to the two strings. */
function exchange(seed: string, spelling: 'qr' | 'typed' = 'qr') {
  const offer = generateLinkOffer('alice', testRng(`${seed} old`));
  const code = parseLinkCode(offer[spelling], 'alice');
  const asked = requestLink(code, offer.offer, 'alice', publicKeys, testRng(`${seed} new`));
  const accepted = acceptLinkRequest(offer, asked.request);
  return { offer, code, asked, accepted, challenged: openLinkChallenge(asked, accepted.challenge) };
}
const grant = (accepted: LinkExchange, list = listWith(accepted.entry)): Uint8Array =>
  sealLinkGrant(accepted, old.accountKey.publicKey, old.device, list);

describe.each(['qr', 'typed'] as const)('a linking by %s', (spelling) => {
  test('both sides show one string, and the new device gets its account', () => {
    const { offer, code, asked, accepted, challenged } = exchange('one', spelling);
    expect([code.offerSlot, code.requestSlot]).toEqual([offer.offerSlot, offer.requestSlot]);
    expect(challenged.confirmation).toMatch(/^\d{6} \d{6}$/);
    expect(accepted).toEqual({ ...challenged, challengeSlot: asked.challengeSlot, challenge: accepted.challenge });
    expect(accepted.challenge.length).toBe(1 + 32 + 16);
    expect(accepted.entry).toEqual(entryOf(fresh));
    const list = listWith(accepted.entry);
    const { accountKey, deviceList, linkedBy } = openLinkAnswer(challenged, grant(accepted, list));
    expect(accountKey).toEqual(old.accountKey.publicKey);
    expect(deviceList.bytes).toEqual(list);
    expect(linkedBy).toEqual(entryOf(old));
  });

  test('a refusal is told from everything else', () => {
    const { accepted, challenged } = exchange('one', spelling);
    expect(codeOf(() => openLinkAnswer(challenged, sealLinkRefusal(accepted)))).toBe('ERR_DEVICE_UNTRUSTED');
    expect(codeOf(() => openLinkAnswer(challenged, flip(sealLinkRefusal(accepted))))).toBe('ERR_DECRYPT');
    // It is the version and nothing else, under the second nonce.
    const [key, nonce] = [challenged.answerKeys.subarray(0, 32), challenged.answerKeys.subarray(44)];
    expect(chachaOpen(key, nonce, new Uint8Array(0), sealLinkRefusal(accepted))).toEqual(new Uint8Array([1]));
  });
});

describe('the code', () => {
  const { qr, typed, publicKey, drawn } = generateLinkOffer('alice', testRng('code'));

  test('is version, account and fingerprint; typed, 14 bytes of it and a check byte', () => {
    const lp16 = (bytes: Uint8Array): Uint8Array => concat(new Uint8Array([bytes.length >> 8, bytes.length & 255]), bytes);
    const hashOf = (label: string, ...fields: Uint8Array[]): Uint8Array =>
      sha512_256(concat(new Uint8Array([label.length]), encodeUtf8(label)!, ...fields.map(lp16)));
    const hash = hashOf('CYPHR/1 link/key', encodeUtf8('alice')!, publicKey, hashOf('CYPHR/1 link/commit', drawn));
    expect(qr).toEqual(concat(new Uint8Array([1, 0, 5]), encodeUtf8('alice')!, hash));
    expect(typed).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(readLinkCode(typed)).toEqual({ account: undefined, fingerprint: hash.subarray(0, 14) });
    expect(encodeLinkTyped(new Uint8Array(32))).toBe('0000-0000-0000-0000-0000-0000');
    const rng = vi.fn(testRng('code'));
    expect(generateLinkOffer('alice', rng)).toMatchObject({ qr, drawn });
    expect(rng.mock.calls).toEqual([[32], [32]]);
  });

  test('names two places, the same from either spelling', () => {
    const both = toHex(hkdfSha512(new Uint8Array(64), readLinkCode(typed).fingerprint, info('link/slot'), 32));
    const slots = { offerSlot: both.slice(0, 32), requestSlot: both.slice(32) };
    for (const each of [generateLinkOffer('alice', testRng('code')), parseLinkCode(qr, 'alice'), parseLinkCode(typed, 'alice')]) {
      expect(each).toMatchObject(slots);
    }
  });

  test('a character outside the alphabet stands for nothing, whatever the check byte', () => {
    // In base 32, 1 followed by −1 would be the number that 0Z is.
    const like = encodeLinkTyped(new Uint8Array(32).fill(0x07, 0, 1).fill(0xc0, 1, 2));
    expect(like).toMatch(/^0Z/);
    for (const none of ['U', '!', 'é']) expect(codeOf(() => readLinkCode(like.replace('0Z', `1${none}`)))).toBe('ERR_ARGUMENT');
  });

  test('any bytes can be typed, with any case, spacing and look-alikes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 14, maxLength: 14 }), fc.infiniteStream(fc.nat(3)), (short, choice) => {
        const messy = [...encodeLinkTyped(short)].map((char) => {
          const like =
            char === '1' ? ['1', 'i', 'L', 'l'] : char === '0' ? ['0', 'O', 'o', '0'] : char === '-' ? ['-', ' ', '', ' - '] : undefined;
          const at = choice.next().value!;
          return like === undefined ? (at % 2 ? char : char.toLowerCase()) : like[at]!;
        });
        expect(readLinkCode(messy.join('')).fingerprint).toEqual(short);
      }),
    );
  });

  test('every wrong character and every swap of neighbours is told', () => {
    const replaced = (chars: readonly string[], at: number, ...by: readonly string[]): string =>
      [...chars.slice(0, at), ...by, ...chars.slice(at + by.length)].join('');
    const chars = [...typed.replaceAll('-', '')];
    const wrong = chars.flatMap((char, i) =>
      [...'0123456789ABCDEFGHJKMNPQRSTVWXYZ'].filter((other) => other !== char).map((other) => replaced(chars, i, other)),
    );
    const swapped = chars.slice(1).flatMap((char, i) => (char === chars[i] ? [] : replaced(chars, i, char, chars[i]!)));
    expect(wrong.length).toBe(24 * 31);
    for (const code of [...wrong, ...swapped]) expect(codeOf(() => parseLinkCode(code, 'alice'))).toBe('ERR_ARGUMENT');
  });

  test.each([
    ['nothing', ''],
    ['too short', typed.slice(0, -1)],
    ['too long', `${typed}0`],
    ['a character outside the alphabet', typed.replace(/.$/, 'U')],
    ['no bytes', new Uint8Array(0)],
    ['another version', flip(qr, 0, 2)],
    ['cut off', qr.slice(0, -1)],
    ['with a trailing byte', concat(qr, new Uint8Array(1))],
    ['a number', 7 as never],
  ])('what is %s is no code', (_, code) => {
    expect(() => parseLinkCode(code, 'alice')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'code' }));
  });

  test('of another account is refused as such, by QR at once and typed with the offer', () => {
    const ofBob = generateLinkOffer('bob', testRng('bob'));
    const other = expect.objectContaining({ code: 'ERR_ARGUMENT', field: 'account' });
    expect(() => parseLinkCode(ofBob.qr, 'alice')).toThrow(other);
    const code = parseLinkCode(ofBob.typed, 'alice');
    expect(() => requestLink(code, ofBob.offer, 'alice', publicKeys, testRng('x'))).toThrow(other);
  });
});

describe('T31: what lies in between', () => {
  const { offer, code, asked, accepted, challenged } = exchange('honest');

  test('a request that was relayed, or made by another device, changes the string', () => {
    const other = generateDeviceKeys(testRng('attacker'));
    const theirs = { device: other.device, deviceKey: other.deviceKey.publicKey, dhKey: other.dhKey.publicKey };
    const attacker = requestLink(code, offer.offer, 'alice', theirs, testRng('attacker asks'));
    const again = requestLink(code, offer.offer, 'alice', publicKeys, testRng('asks again'));
    // With the very challenge of the honest linking: the difference is the request's alone.
    const [theirsTaken, againTaken] = [attacker, again].map(({ request }) => acceptLinkRequest(offer, request));
    expect(new Set([challenged, theirsTaken!, againTaken!].map(({ confirmation }) => confirmation)).size).toBe(3);
    expect(openLinkChallenge(attacker, theirsTaken!.challenge).confirmation).toBe(theirsTaken!.confirmation);
    // What is said to one is nothing to another: neither the challenge nor the answer.
    expect(codeOf(() => openLinkChallenge(asked, theirsTaken!.challenge))).toBe('ERR_DECRYPT');
    expect(codeOf(() => openLinkAnswer(challenged, grant(theirsTaken!)))).toBe('ERR_DECRYPT');
  });

  test('a request fits no string: each r gives another one, and other places and keys, and the code’s own alone is taken', () => {
    const draws = ['first', 'second', 'third'].map((seed) => {
      const taken = acceptLinkRequest({ ...offer, drawn: testRng(seed)(32) }, asked.request);
      expect(codeOf(() => openLinkChallenge(asked, taken.challenge))).toBe('ERR_DECRYPT');
      expect(codeOf(() => openLinkAnswer(challenged, grant(taken)))).toBe('ERR_DECRYPT');
      expect(codeOf(() => openLinkAnswer(challenged, sealLinkRefusal(taken)))).toBe('ERR_DECRYPT');
      return taken;
    });
    const all = [accepted, ...draws];
    expect(new Set(all.map(({ confirmation }) => confirmation)).size).toBe(4);
    expect(new Set(all.map(({ grantSlot }) => grantSlot)).size).toBe(4);
    // The place of the challenge follows from the request alone: the new device must find it.
    expect(new Set(all.map(({ challengeSlot }) => challengeSlot))).toEqual(new Set([asked.challengeSlot]));
    expect(openLinkChallenge(asked, accepted.challenge).confirmation).toBe(accepted.confirmation);
  });

  test('the string is two numbers modulo a million, with their zeros', () => {
    const strings = Array.from({ length: 12 }, (_, i) => {
      const drawn = testRng(`digits ${i}`)(32);
      const bound = info('sas', encodeUtf8('alice')!, offer.publicKey, asked.request, drawn);
      const bytes = Buffer.from(hkdfSha512(new Uint8Array(64), asked.secret, bound, 10));
      const groups = [0, 5].map((at) => String(bytes.readUIntBE(at, 5) % 1_000_000).padStart(6, '0'));
      expect(acceptLinkRequest({ ...offer, drawn }, asked.request).confirmation).toBe(groups.join(' '));
      return groups.join(' ');
    });
    expect(strings.join(' ')).toMatch(/\b0/);
  });

  test('who plays the old device knows what the true one shows, and makes the new one show none of it: r was fixed before the request', () => {
    const [wanted] = exchange('the true old device').accepted.confirmation;
    // Mallory's own code, which the new device has read: once there is a request, its digits can be computed for any r.
    let found: ReturnType<typeof acceptLinkRequest> | undefined;
    for (let i = 0; found === undefined && i < 1_000; i++) {
      const taken = acceptLinkRequest({ ...offer, drawn: testRng(`searched ${i}`)(32) }, asked.request);
      if (taken.confirmation[0] === wanted) found = taken;
    }
    expect(codeOf(() => openLinkChallenge(asked, found!.challenge))).toBe('ERR_DECRYPT');
  });

  test('the string depends on the account and on the key of the old device', () => {
    const stringOf = (account: string, seed: string): string => {
      const own = generateLinkOffer(account, testRng(seed));
      const { request } = requestLink(parseLinkCode(own.qr, account), own.offer, account, publicKeys, testRng('same'));
      return acceptLinkRequest({ ...own, drawn: offer.drawn }, request).confirmation;
    };
    const strings = ['alice', 'alicf', 'ALICE'].map((account) => stringOf(account, 'same seed'));
    expect(new Set([...strings, stringOf('alice', 'other seed')]).size).toBe(4);
  });

  test('who reads every slot finds neither code nor keys in them, and no account', () => {
    const slots = [offer.offerSlot, offer.requestSlot, accepted.challengeSlot, accepted.grantSlot];
    const seen = concat(offer.offer, asked.request, accepted.challenge, grant(accepted), encodeUtf8(slots.join(''))!);
    const text = toHex(seen);
    const { fingerprint } = readLinkCode(offer.qr);
    const hidden = [fingerprint.subarray(0, 8), offer.publicKey.subarray(0, 16), publicKeys.deviceKey.subarray(0, 16), publicKeys.dhKey];
    for (const each of [...hidden, old.accountKey.publicKey.subarray(0, 16), encodeUtf8('alice')!, keyHash(publicKeys.deviceKey)]) {
      expect(text).not.toContain(toHex(each));
    }
    expect(text).not.toContain(toHex(encodeUtf8(toHex(fingerprint.subarray(0, 8)))!));
    // Nor the drawn bytes, on which the string depends.
    expect(text).not.toContain(toHex(offer.drawn));
    expect(new Set(slots).size).toBe(4);
    for (const slot of slots) expect(slot).toMatch(/^[0-9a-f]{32}$/);
  });

  test('who replaces an offer is found out, also one that knows the code', () => {
    const evil = generateLinkOffer('alice', testRng('evil'));
    for (const spelling of ['qr', 'typed'] as const) {
      const read = parseLinkCode(offer[spelling], 'alice');
      expect(codeOf(() => requestLink(read, evil.offer, 'alice', publicKeys, testRng('x')))).toBe('ERR_DECRYPT');
    }
    // Whoever has the code can seal an offer for it, and sees to what the old device is bound, but not the drawn bytes; and has no other
    // key and no other commitment with its fingerprint.
    const keysOf = (typed: string): [Uint8Array, Uint8Array] => {
      const keys = hkdfSha512(new Uint8Array(64), readLinkCode(typed).fingerprint, info('link/offer'), 44);
      return [keys.subarray(0, 32), keys.subarray(32)];
    };
    const own = chachaOpen(...keysOf(offer.typed), new Uint8Array(0), offer.offer);
    const [start, commitment] = [concat(new Uint8Array([1, 0, 5]), encodeUtf8('alice')!), own.slice(-32)];
    expect(own).toEqual(concat(start, offer.publicKey, commitment));
    expect(commitment).toEqual(asked.commitment);
    expect(toHex(own)).not.toContain(toHex(offer.drawn));
    const evils = chachaOpen(...keysOf(evil.typed), new Uint8Array(0), evil.offer).slice(-32);
    const forgeries = [concat(evil.publicKey, commitment), concat(offer.publicKey, evils), concat(evil.publicKey, evils)];
    for (const each of [...forgeries, concat(offer.publicKey, flip(commitment))]) {
      const forged = chachaSeal(...keysOf(offer.typed), new Uint8Array(0), concat(start, each));
      for (const spelling of ['qr', 'typed'] as const) {
        const read = parseLinkCode(offer[spelling], 'alice');
        expect(codeOf(() => requestLink(read, forged, 'alice', publicKeys, testRng('x')))).toBe('ERR_DECRYPT');
      }
    }
  });

  test('no bit of an offer, a request, a challenge or an answer can change', () => {
    const ends = (bytes: Uint8Array): number[] => [0, 1, 31, 32, 1119, 1120, Math.floor(bytes.length / 2), bytes.length - 1];
    const list = listWith(accepted.entry);
    const answer = grant(accepted, list);
    for (const at of ends(offer.offer)) {
      expect(codeOf(() => requestLink(code, flip(offer.offer, at), 'alice', publicKeys, testRng('x')))).toBe('ERR_DECRYPT');
    }
    for (const at of ends(asked.request)) expect(codeOf(() => acceptLinkRequest(offer, flip(asked.request, at)))).toBe('ERR_DECRYPT');
    for (let at = 0; at < accepted.challenge.length; at++) {
      expect(codeOf(() => openLinkChallenge(asked, flip(accepted.challenge, at)))).toBe('ERR_DECRYPT');
    }
    for (const at of ends(answer)) expect(codeOf(() => openLinkAnswer(challenged, flip(answer, at)))).toBe('ERR_DECRYPT');
  });

  test('a request of an earlier code is refused, and a challenge and an answer of an earlier linking', () => {
    const later = exchange('later');
    expect(codeOf(() => acceptLinkRequest(later.offer, asked.request))).toBe('ERR_DECRYPT');
    expect(codeOf(() => openLinkChallenge(later.asked, accepted.challenge))).toBe('ERR_DECRYPT');
    expect(codeOf(() => openLinkAnswer(later.challenged, grant(accepted)))).toBe('ERR_DECRYPT');
    expect(codeOf(() => openLinkAnswer(later.challenged, sealLinkRefusal(accepted)))).toBe('ERR_DECRYPT');
  });

  test('a grant without this very device, of another account or of another key is none', () => {
    const other = generateDevice('alice', testRng('impostor'), NOW);
    const bob = generateDevice('bob', testRng('bob'), NOW);
    const bobWith = relist(
      bob,
      [...parseDeviceList(bob.deviceList).entries, accepted.entry].sort((a, b) => a.device - b.device),
      NOW,
      testRng('l'),
    );
    const bad = [
      sealLinkGrant(accepted, old.accountKey.publicKey, old.device, old.deviceList),
      sealLinkGrant(accepted, old.accountKey.publicKey, old.device, listWith({ ...accepted.entry, dhKey: old.dhKey.publicKey })),
      sealLinkGrant(
        accepted,
        old.accountKey.publicKey,
        old.device,
        listWith({ ...accepted.entry, keyHash: keyHash(old.accountKey.publicKey) }),
      ),
      sealLinkGrant(accepted, old.accountKey.publicKey, old.device, listWith({ ...accepted.entry, device: 5 })),
      sealLinkGrant(accepted, other.accountKey.publicKey, other.device, listWith(accepted.entry)),
      sealLinkGrant(accepted, bob.accountKey.publicKey, bob.device, bobWith.deviceList),
      sealLinkGrant(accepted, old.accountKey.publicKey, old.device, listWith(accepted.entry).slice(0, -1)),
    ];
    for (const answer of bad) expect(codeOf(() => openLinkAnswer(challenged, answer))).toBe('ERR_DECRYPT');
  });

  test('a grant is of a device that stands in its list beside the new one', () => {
    const third = { device: 5, keyHash: new Uint8Array(64).fill(5), dhKey: old.dhKey.publicKey };
    const list = listWith(accepted.entry, third);
    const by = (device: number): Uint8Array => sealLinkGrant(accepted, old.accountKey.publicKey, device, list);
    for (const entry of [entryOf(old), third]) expect(openLinkAnswer(challenged, by(entry.device)).linkedBy).toEqual(entry);
    for (const device of [6, accepted.entry.device]) expect(codeOf(() => openLinkAnswer(challenged, by(device)))).toBe('ERR_DECRYPT');
  });

  test('T01: a request with an X25519 key that is not canonical', () => {
    const { request } = requestLink(code, offer.offer, 'alice', { ...publicKeys, dhKey: new Uint8Array(32).fill(0xff) }, testRng('x'));
    expect(codeOf(() => acceptLinkRequest(offer, request))).toBe('ERR_DECRYPT');
  });

  test('what a request was drawn from and the secret that it was sealed with are wiped, also where that fails', () => {
    const asking = filledDuring(() => requestLink(code, offer.offer, 'alice', publicKeys, testRng('honest new')));
    expect(asking).toContain(toHex(testRng('honest new')(64)));
    const failing = (): unknown => codeOf(() => acceptLinkRequest(offer, flip(asked.request)));
    for (const run of [() => acceptLinkRequest(offer, asked.request), failing]) expect(filledDuring(run)).toContain(toHex(asked.secret));
  });

  test('T40: any bytes are an error of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1400 }), (bytes) => {
        expect(codeOf(() => requestLink(code, bytes, 'alice', publicKeys, testRng('x')))).toBe('ERR_DECRYPT');
        expect(codeOf(() => acceptLinkRequest(offer, bytes))).toBe('ERR_DECRYPT');
        expect(codeOf(() => openLinkChallenge(asked, bytes))).toBe('ERR_DECRYPT');
        expect(codeOf(() => openLinkAnswer(challenged, bytes))).toBe('ERR_DECRYPT');
        expect(codeOf(() => readLinkCode(bytes))).toBe('ERR_ARGUMENT');
      }),
      { numRuns: 50 },
    );
  });
});
