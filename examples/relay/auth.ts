/** Who is at the other end: challenges, proofs, session tokens. All of it lives in memory only. */

import { randomBytes } from 'node:crypto';
import { verifyLogin } from '@cyphr/e2ee';
import { Refused } from './limits.js';

const CHALLENGE_MS = 60_000;
const SESSION_MS = 15 * 60_000;
/** Sessions of one device at a time: logins may overlap. The oldest ends first. */
const SESSIONS_PER_DEVICE = 4;
const MAX_ENTRIES = 100_000;

export interface Address {
  readonly account: string;
  readonly device: number;
}

export interface Session extends Address {
  /** The random name of this device's mailbox, hex. */
  readonly mailbox: string;
  /** Which of the device's logins it began with. */
  readonly login: number;
}

export interface Claim extends Address {
  readonly nonce: Buffer;
  readonly proof: Buffer;
}

/** Values under names, fresh 32-byte random ones unless given, for a fixed time; the oldest go first when there are too many. */
function expiring<V>(lifetimeMs: number) {
  const entries = new Map<string, { readonly value: V; readonly until: number }>();
  const get = (name: string): V | undefined => {
    const entry = entries.get(name);
    return entry !== undefined && entry.until > Date.now() ? entry.value : undefined;
  };
  return {
    get,
    put(value: V, name = randomBytes(32).toString('base64url')): string {
      entries.delete(name); // what is put again is the newest
      for (const [name, { until }] of entries) {
        if (until > Date.now() && entries.size < MAX_ENTRIES) break;
        entries.delete(name);
      }
      entries.set(name, { value, until: Date.now() + lifetimeMs });
      return name;
    },
    take(name: string): V | undefined {
      const value = get(name);
      entries.delete(name);
      return value;
    },
  };
}

export type Auth = ReturnType<typeof createAuth>;

export function createAuth() {
  const challenges = expiring<Address & { readonly audience: string }>(CHALLENGE_MS);
  const sessions = expiring<Session>(SESSION_MS);
  /** The tokens of a mailbox, oldest first: devices log in again and again, and shall not push each other's out. */
  const tokens = expiring<readonly string[]>(SESSION_MS);
  return {
    /** A challenge for one device under one name of this relay; base64url. */
    challenge: (address: Address, audience: string): string => challenges.put({ ...address, audience }),
    /** Checks a proof over a challenge that is thereby spent, whatever comes out; throws `Refused`. */
    verify({ account, device, nonce, proof }: Claim, audience: string, identity: Uint8Array): ReturnType<typeof verifyLogin> {
      const asked = challenges.take(nonce.toString('base64url'));
      if (asked?.account !== account || asked.device !== device || asked.audience !== audience) throw new Refused();
      try {
        return verifyLogin(proof, { audience, nonce, address: { account, device }, identity });
      } catch {
        throw new Refused();
      }
    },
    /** A token of its own for each login, so that its use says which answer has come. */
    open(session: Session): string {
      const token = sessions.put(session);
      const all = [...(tokens.get(session.mailbox) ?? []), token];
      for (const old of all.slice(0, -SESSIONS_PER_DEVICE)) sessions.take(old);
      tokens.put(all.slice(-SESSIONS_PER_DEVICE), session.mailbox);
      return token;
    },
    session: sessions.get,
    /** Ends every session of a mailbox. */
    end(mailbox: string): void {
      for (const token of tokens.take(mailbox) ?? []) sessions.take(token);
    },
  };
}
