import { toHex } from '../../src/bytes.js';
import { decodeFacts, encodeFacts, peerRecord, sessionRecord } from '../../src/client/records.js';
import { sha256 } from '../../src/crypto/suite.js';
import { decodeCore, encodeCore, type RatchetState } from '../../src/ratchet/ratchet.js';
import type { RatchetState as InnerState } from '../../src/ratchet/state.js';
import type { SessionFacts } from '../../src/session/peer.js';
import type { Store, StoreKey } from '../../src/store/port.js';
import type { GlassStore } from './people.js';

/**
 * Spoils what a device reads with, in each of its sessions, as a fault of the disk would: the headers of its peers' messages open, and
 * their bodies don't. The store is no client's meanwhile.
 */
export async function spoilSessions(store: Store): Promise<void> {
  for (const { key, value } of await store.list(['session'], 1_000)) {
    const { core, ...facts } = sessionRecord.decode(value);
    const state = decodeCore(core, []) as InnerState<unknown>;
    const chainKey = state.pq.receiving.chainKey.slice();
    chainKey[0]! ^= 1;
    const spoilt = { ...state, pq: { ...state.pq, receiving: { ...state.pq.receiving, chainKey } } };
    const spoiltCore = encodeCore(spoilt as RatchetState);
    await store.commit([{ key, value: sessionRecord.encode({ ...facts, core: spoiltCore }) }]);
  }
}

/** What a device knows of its sessions with one device of another account. */
export function sessionsWith(store: GlassStore, account: string): SessionFacts[] {
  for (const [name, value] of store.rows()) {
    const key = JSON.parse(name) as string[];
    if (key[0] === 'peer' && key[1] === account) return peerRecord.decode(value).sessions.map(decodeFacts);
  }
  return [];
}

/**
 * Every row of a store but the number of its last commit, as key and hash, without what is counted of messages that failed behind their
 * headers: equal exactly if nothing else has changed.
 */
export function besidesFailures(store: GlassStore): string {
  const uncounted = (value: Uint8Array): Uint8Array => {
    const { sessions, ...record } = peerRecord.decode(value);
    const all = sessions.map((each) => encodeFacts({ ...decodeFacts(each), failed: [], askedCount: 0, askedAtMs: 0 }));
    return peerRecord.encode({ ...record, sessions: all });
  };
  return [...store.rows()]
    .filter(([key]) => key !== '["generation"]')
    .map(([key, value]) => `${key} ${toHex(sha256(key.startsWith('["peer"') ? uncounted(value) : value))}`)
    .sort()
    .join('\n');
}

/** How many rows stand in a space. */
export function rowCount(store: GlassStore, space: StoreKey[0]): number {
  return [...store.rows().keys()].filter((name) => (JSON.parse(name) as string[])[0] === space).length;
}
