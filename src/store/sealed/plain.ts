/**
 * Records that lie unsealed in the base store: an unsealed client's. The port lists below a space only, so the spaces are named here.
 */

import type { Store, StoreKey, StoreRecord } from '../port.js';

/** The first components of all keys that a client writes; a test compares them with the client's. */
export const PLAIN_SPACES: readonly string[] = [
  'claimed',
  'contact',
  'contact-device',
  'days',
  'deleted',
  'device',
  'early',
  'generation',
  'got',
  'greet',
  'inbox',
  'init',
  'grant',
  'late',
  'log',
  'share',
  'linked',
  'linked-by',
  'login',
  'meta',
  'once',
  'outbox',
  'peer',
  'pending',
  'prekeys',
  'publish',
  'receipt',
  'salt',
  'seen',
  'sent',
  'session',
  'skipped',
  'tag',
  'talk',
  'told',
  'trouble',
  'unsent',
];

/** At most `limit` plain records. */
export async function listPlain(base: Store, limit: number): Promise<(StoreRecord & { readonly key: StoreKey })[]> {
  const roots = PLAIN_SPACES.map((space): StoreKey => [space]);
  const single = await base.read(roots);
  const found = roots.flatMap((key, i) => (single[i] === undefined ? [] : [{ key, ...single[i] }]));
  for (const root of roots) {
    if (found.length >= limit) break;
    found.push(...(await base.list(root, limit - found.length)));
  }
  return found.slice(0, limit);
}
