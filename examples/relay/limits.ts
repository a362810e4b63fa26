/** Every bound of the relay, and the rate limiters. All are options of `startRelay`; nothing here is known to clients. */

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

export const defaultLimits = {
  envelopeBytes: 256 * 1024,
  mailboxCount: 10_000,
  mailboxAgeMs: 30 * 86_400_000,
  devicesPerAccount: 64,
  oneTimePrekeysPerDevice: 512,
  /** Below it the owner is told. */
  oneTimePrekeysLow: 20,
  socketCount: 10_000,
  /** Per sending device, and per receiving device whoever sends. */
  sendsPerMinute: 3_000,
  receivedPerMinute: 6_000,
  /** Bundles with one-time prekeys, per fetching device and account fetched: what an attacker needs to drain them. */
  takesPerHour: 60,
  /** Per network address: challenges (each costs a signature check; a busy device asks once a minute), and reading keys without logging in. */
  challengesPerMinute: 600,
  readsPerMinute: 600,
  /** The drop box: what one network address may leave in it stays below half of what it holds. */
  leavesPerMinute: 30,
  slotCount: 10_000,
  slotTotalBytes: 64 * 1024 * 1024,
} as const;

export type RelayLimits = { readonly [name in keyof typeof defaultLimits]: number };

/** Refused for good, or against the rules: one answer, whatever the reason. */
export class Refused extends Error {}

/** Refused for now. */
export class Later extends Error {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('later');
    this.retryAfterMs = Math.max(1, Math.min(Math.ceil(retryAfterMs), 0xffff_ffff));
  }
}

/** Takes a point from each limiter; throws `Later` when one is empty. */
export type Spend = Readonly<Record<'send' | 'receive' | 'take' | 'challenge' | 'read' | 'leave', (key: string) => Promise<void>>>;

export function rateLimiters(limits: RelayLimits): Spend {
  const limiter = (points: number, duration: number) => {
    const memory = new RateLimiterMemory({ points, duration });
    return async (key: string) => {
      await memory.consume(key).catch((reason) => {
        throw reason instanceof RateLimiterRes ? new Later(reason.msBeforeNext) : reason;
      });
    };
  };
  return {
    send: limiter(limits.sendsPerMinute, 60),
    receive: limiter(limits.receivedPerMinute, 60),
    take: limiter(limits.takesPerHour, 3_600),
    challenge: limiter(limits.challengesPerMinute, 60),
    read: limiter(limits.readsPerMinute, 60),
    leave: limiter(limits.leavesPerMinute, 60),
  };
}
