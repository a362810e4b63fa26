/** Safety numbers and their QR payload, section 10b. */
import { ascii, concat, equal, lp16, need, Reader, u8, zeros } from './bytes.mjs';
import { sha512 } from './crypto.mjs';

function half({ account, accountKeyHash }) {
  let h = concat(zeros(2), accountKeyHash, account);
  for (let i = 0; i < 5200; i += 1) h = sha512(concat(h, accountKeyHash));
  return Array.from({ length: 6 }, (_, i) => String(h.readUIntBE(5 * i, 5) % 100_000).padStart(5, '0')).join('');
}
/** 60 digits of two sides { account, accountKeyHash }. */
export const safetyNumber = (one, other) => [half(one), half(other)].sort().join('');

export const safetyQr = (own, peer) =>
  concat(ascii('CYPHR/1 '), u8(1), ...[own, peer].flatMap(({ account, accountKeyHash }) => [lp16(account), accountKeyHash]));
/** What a scanned payload shows: 'match', 'mismatch' of identities, or a code of or for an 'other-person'. */
export function matchesQr(own, peer, payload) {
  const reader = new Reader(payload);
  need(equal(reader.take(8), ascii('CYPHR/1 ')), 'ERR_DECODE', 'another kind of code');
  need(reader.u8() === 1, 'ERR_VERSION', 'version of a code');
  const [theirs, ours] = [0, 1].map(() => ({ account: reader.accountId(), accountKeyHash: reader.take(64) }));
  reader.end();
  if (!equal(theirs.account, peer.account) || !equal(ours.account, own.account)) return 'other-person';
  return equal(theirs.accountKeyHash, peer.accountKeyHash) && equal(ours.accountKeyHash, own.accountKeyHash) ? 'match' : 'mismatch';
}
