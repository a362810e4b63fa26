import { toHex } from '../../src/bytes.js';
import { TransportError } from '../../src/errors.js';
import type { Address, BundleBytes, DeviceKeys } from '../../src/step.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import type { Login, Network } from '../../src/transport/port.js';

/** An envelope as the relay sees it. */
export interface Envelope {
  readonly to: Address;
  readonly bytes: Uint8Array;
}

interface Parcel {
  readonly id: string;
  readonly bytes: Uint8Array;
  acked: boolean;
  readonly settle: (acked: boolean) => void;
}

interface Mailbox {
  queue: Parcel[];
  /** Delivered and not acknowledged: comes again with the next connection. */
  unacked: Parcel[];
  wake: () => void;
  end: () => void;
  login: Login;
}

/** A relay and directory that do what a test wants; every hook starts honest. */
export interface HostileNetwork extends Network {
  /** Every envelope that a client handed over, in order. */
  readonly sent: Envelope[];
  /** Every publication, in order. */
  readonly published: DeviceKeys[];
  /** Each `take` that was asked for, by account. */
  readonly fetches: string[];
  /** What becomes of an accepted envelope: what is delivered instead. */
  route: (envelope: Envelope) => readonly Envelope[];
  /** What a fetch answers instead of `honest`. */
  answer: (account: string, honest: BundleBytes[]) => BundleBytes[] | Promise<BundleBytes[]>;
  /** How many one-time prekeys a device is told are left; `undefined` is the truth. */
  remaining: number | undefined;
  /** Acknowledgements vanish. */
  loseAcks: boolean;
  /** Delivers `bytes`; resolves once the client asks for what comes next, with whether it had acknowledged. */
  inject(to: Address, bytes: Uint8Array): Promise<boolean>;
  /** What the directory holds of an account. */
  bundles(account: string): Promise<BundleBytes[]>;
  /** Resolves once an account has published that often. */
  publication(account: string, count: number): Promise<void>;
  /** Resolves once nothing that was accepted is under way. */
  settled(): Promise<void>;
  /** Cuts a device's connection; what it did not acknowledge comes again. */
  cut(address: Address): void;
  /** How many envelopes of a device wait for an acknowledgement. */
  unackedCount(address: Address): number;
}

const nameOf = ({ account, device }: Address): string => JSON.stringify([account, device]);

export function hostileNetwork(): HostileNetwork {
  const mailboxes = new Map<string, Mailbox>();
  const honest = memoryNetwork();
  let parcels = 0;
  const publishing: (() => void)[] = [];
  let underWay: Promise<unknown>[] = [];
  const reader = honest.directory({ address: { account: '', device: 1 }, prove: async ({ nonce }) => new Uint8Array(nonce) });

  const self: HostileNetwork = {
    sent: [],
    published: [],
    fetches: [],
    route: (envelope) => [envelope],
    answer: (_account, bundles) => bundles,
    remaining: undefined,
    loseAcks: false,
    inject(to, bytes) {
      const mailbox = mailboxes.get(nameOf(to));
      if (mailbox === undefined) return Promise.reject(new Error('nobody there'));
      return new Promise((settle) => {
        mailbox.queue.push({ id: String(++parcels), bytes: new Uint8Array(bytes), acked: false, settle });
        mailbox.wake();
      });
    },
    bundles: (account) => reader.fetch(account, { take: [] }),
    async publication(account, count) {
      while (self.published.filter(({ address }) => address.account === account).length < count) {
        await new Promise<void>((resolve) => publishing.push(resolve));
      }
    },
    async settled() {
      while (underWay.length > 0) {
        const waiting = underWay;
        underWay = [];
        await Promise.all(waiting);
      }
    },
    cut: (address) => mailboxes.get(nameOf(address))?.end(),
    unackedCount: (address) => mailboxes.get(nameOf(address))?.unacked.length ?? 0,
    directory(login) {
      const directory = (honest.directory as (login: Login) => ReturnType<typeof honest.directory>)(login);
      return {
        async publish(keys, options) {
          await directory.publish(keys, options);
          self.published.push(keys);
          for (const resolve of publishing.splice(0)) resolve();
        },
        async fetch(account, options) {
          self.fetches.push(account);
          return self.answer(account, await directory.fetch(account, options));
        },
        remaining: async () => self.remaining ?? (await directory.remaining!()),
        leave: (...parcel) => directory.leave!(...parcel),
        pickUp: (...slot) => directory.pickUp!(...slot),
      };
    },
    transport(login) {
      const mailbox: Mailbox = mailboxes.get(nameOf(login.address)) ?? {
        queue: [],
        unacked: [],
        wake: () => {},
        end: () => {},
        login,
      };
      mailboxes.set(nameOf(login.address), mailbox);
      return {
        limits: { maxBytes: 256 * 1024 },
        async send(to, bytes) {
          const envelope = { to, bytes: new Uint8Array(bytes) };
          self.sent.push(envelope);
          for (const each of self.route(envelope)) {
            if (!mailboxes.has(nameOf(each.to))) throw new TransportError('ERR_REJECTED', 'the recipient is unknown');
            underWay.push(self.inject(each.to, each.bytes));
          }
        },
        deliveries: ({ onUp, onDrained } = {}) => ({
          [Symbol.asyncIterator]() {
            let ended = false;
            let current: Parcel | undefined;
            mailbox.queue.unshift(...mailbox.unacked);
            mailbox.unacked = [];
            mailbox.end = () => {
              ended = true;
              mailbox.wake();
            };
            onUp?.();
            return {
              async next() {
                current?.settle(current.acked);
                current = undefined;
                while (!ended && mailbox.queue.length === 0) {
                  onDrained?.();
                  await new Promise<void>((resolve) => {
                    mailbox.wake = resolve;
                  });
                }
                const parcel = ended ? undefined : mailbox.queue.shift();
                if (parcel === undefined) return { done: true as const, value: undefined };
                current = parcel;
                mailbox.unacked.push(parcel);
                const ack = async (): Promise<void> => {
                  if (self.loseAcks) throw new TransportError('ERR_OFFLINE', 'the acknowledgement was lost');
                  parcel.acked = true;
                  mailbox.unacked = mailbox.unacked.filter((other) => other !== parcel);
                };
                return { done: false as const, value: { id: parcel.id, bytes: new Uint8Array(parcel.bytes), ack } };
              },
              async return() {
                mailbox.end();
                return { done: true as const, value: undefined };
              },
            };
          },
        }),
        close: async () => mailbox.end(),
      };
    },
  };
  return self;
}

/** The envelopes of `sent` that go to an account, as hex. */
export function wireOf(sent: readonly Envelope[], account: string): string[] {
  return sent.filter(({ to }) => to.account === account).map(({ bytes }) => toHex(bytes));
}
