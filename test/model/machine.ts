/** A device as a process on a machine: it may be stopped, die at a commit, go back to a backup, have a wrong clock, or be offline. */

import type { Client, ClientEvent, ClientOptions, Message } from '../../src/client/types.js';
import { isCyphrError } from '../../src/errors.js';
import type { Address } from '../../src/step.js';
import type { Store } from '../../src/store/port.js';
import { createTestClient } from '../../src/testing/client.js';
import { crashingStore } from '../../src/testing/crashing-store.js';
import { type GlassStore, glassStore } from '../helpers/people.js';
import { testRng } from '../helpers/rng.js';
import type { Link, Parcel, StepRelay } from '../helpers/step-relay.js';

export type Plan = Parameters<typeof crashingStore>[1];

/** What a disk holds, and what the application on it had acknowledged by then. */
export interface Backup {
  readonly rows: readonly (readonly [string, Uint8Array])[];
  readonly acked: ReadonlySet<string>;
  /** Number of the message that would be sent next. */
  readonly at: number;
}

/** One process. */
interface Life {
  client: Client | undefined;
  /** What its opening was refused with. */
  refusal: unknown;
  readonly link: Link;
  isDead: boolean;
}

export interface Machine {
  readonly name: string;
  readonly account: string;
  store: GlassStore;
  /** Nothing runs here any more: what is left of its device can't be recovered, or it was removed. */
  isRetired: boolean;
  /** Every address that it ever had. */
  readonly addresses: Address[];
  /** By message id: what its application was shown. */
  readonly shown: Map<string, { readonly from: Address; readonly conversation: string; readonly text: string; readonly order: string }>;
  /** It went back to a time before, and may have forgotten what it was shown. */
  wasRestored: boolean;
  /** What came again although it had been acknowledged, and when, by the relay's time. */
  readonly shownAfterAck: { readonly text: string; readonly atMs: number }[];
  readonly undecryptable: Extract<ClientEvent, { type: 'undecryptable' }>[];
  /** References of reports that were on its disk when a process died, and had not been said. */
  readonly unsaid: Set<string>;
  /** Ids of messages of which it was told that they have failed, and why. */
  readonly failed: Set<string>;
  /** By message id: how far it was told that it has come. */
  readonly told: Map<string, 'delivered' | 'read'>;
  /** Ids of messages that its person has seen. */
  readonly seen: Set<string>;
  /** Envelopes that it could make nothing of. */
  readonly dropped: { readonly parcel: Parcel; readonly code: string }[];
  offsetMs: number;
  /** Its clock was behind: once it is right, what was noted meanwhile counts as years old. */
  wasBehind(): boolean;
  /** The latest time that its clock has ever shown. */
  latestMs(): number;
  /** The link, also while nothing runs. */
  readonly link: Link;
  client(): Client | undefined;
  isDead(): boolean;
  refusal(): unknown;
  /** A process begins, or joins its account, which it does once. */
  start(open?: (options: TestOptions) => Promise<Client>): void;
  /** The process ends in order. */
  stop(): void;
  /** The process will die at its n-th commit from now; `undefined`: it will not. */
  arm(plan: Plan | undefined): void;
  /** Reads what there is: `until` resolves when the application has had time for it. */
  read(acks: boolean, until: () => Promise<void>): Promise<void>;
  backup(at: number): Backup;
  /** Puts a backup onto an empty disk. No process runs. */
  restore(backup: Backup): Promise<void>;
}

type Settings = Pick<ClientOptions, 'metadata' | 'receipts' | 'bandwidth' | 'trust'>;

/** What an application chooses, by a few bytes: every process anew, as after an update. */
export function settingsOf(bytes: Uint8Array): Settings {
  const [metadata, receipts, bandwidth, trust] = bytes;
  return {
    metadata: (['tag', 'sealed'] as const)[metadata! % 2],
    receipts: (['off', 'delivered', 'delivered-and-read'] as const)[receipts! % 3],
    bandwidth: ([undefined, 'lean', 'standard', 'wide'] as const)[bandwidth! % 4],
    trust: (['block', 'warn'] as const)[trust! % 2],
  };
}

export type TestOptions = Parameters<typeof createTestClient>[0];

/** What all machines have in common. */
export interface Surroundings {
  readonly relay: StepRelay;
  readonly now: () => number;
  readonly seed: string;
  /** What must not happen, in words. */
  readonly faults: string[];
}

export async function filled(rows: Backup['rows']): Promise<GlassStore> {
  const store = glassStore();
  if (rows.length > 0) await store.commit(rows.map(([key, value]) => ({ key: JSON.parse(key), value })));
  return store;
}

export function machine(name: string, account: string, store: GlassStore, { relay, now, seed, faults }: Surroundings): Machine {
  let life: Life | undefined;
  let lives = 0;
  let armed: Plan | 'never' | undefined;
  let acked = new Set<string>();
  /** Why the envelope that is acknowledged next was dropped: one may be that came long before the last. */
  let droppedFor: string | undefined;
  let latestMs = 0;
  let wasBehind = false;
  const clock = (): number => {
    wasBehind ||= self.offsetMs < 0;
    latestMs = Math.max(latestMs, now() + self.offsetMs);
    return now() + self.offsetMs;
  };

  const mortalStore = (begun: Life, disk: Store): Store => {
    let current = disk;
    const switching = (): Store => {
      if (armed !== undefined && life === begun && !begun.isDead) {
        current = armed === 'never' ? disk : crashingStore(disk, armed);
        armed = undefined;
      }
      return current;
    };
    const watched = async <T>(call: (on: Store) => Promise<T>): Promise<T> => {
      try {
        return await call(switching());
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('simulated crash')) die(begun);
        throw error;
      }
    };
    return {
      read: (keys) => watched((on) => on.read(keys)),
      list: (prefix, limit, after) => watched((on) => on.list(prefix, limit, after)),
      commit: (writes) => watched((on) => on.commit(writes)),
      close: async () => {},
    };
  };
  const end = (ended: Life): void => {
    // A process that opens ends once it is open.
    const close = (): void => void ended.client?.close().catch(() => {});
    if (ended.client === undefined) opening?.then(close, () => {});
    else close();
  };
  const die = (dying: Life): void => {
    if (dying.isDead) return;
    dying.isDead = true;
    dying.link.isUp = false;
    // What it had committed and not said.
    for (const name of self.store.rows().keys()) {
      const [space, reference] = JSON.parse(name) as string[];
      if (space === 'trouble' && !self.undecryptable.some((event) => event.reference === reference)) self.unsaid.add(reference!);
    }
    end(dying);
  };
  let opening: Promise<unknown> | undefined;

  const listen = (begun: Life, client: Client): void => {
    // Also what a dying process was told: the report is on the disk.
    client.on('undecryptable', (event) => self.undecryptable.push(event));
    client.on('sent', ({ id, state, error }) => {
      if ((state === 'delivered' || state === 'read') && self.told.get(id) !== 'read') self.told.set(id, state);
      if (state === 'failed' && error !== undefined && !begun.isDead) self.failed.add(id);
    });
    client.on('identityChanged', (event) => faults.push(`${name}: the identity of ${event.account} changed`));
    client.on('status', ({ status }) => {
      if (status.state !== 'halted' && status.state !== 'closed') note(client);
    });
  };
  const note = (client: Client): void => {
    const { device } = client;
    if (device !== 0 && !self.addresses.some((known) => known.device === device)) self.addresses.push({ account, device });
  };
  const show = (message: Message): void => {
    if (acked.has(message.id)) self.shownAfterAck.push({ text: message.text, atMs: now() });
    const { conversation } = message;
    const other = conversation.kind === 'person' ? conversation.account : conversation.id;
    self.shown.set(message.id, { from: message.from, conversation: other, text: message.text, order: message.order });
  };

  const self: Machine = {
    name,
    account,
    store,
    isRetired: false,
    addresses: [],
    shown: new Map(),
    wasRestored: false,
    shownAfterAck: [],
    undecryptable: [],
    unsaid: new Set(),
    failed: new Set(),
    told: new Map(),
    seen: new Set(),
    dropped: [],
    offsetMs: 0,
    link: { isUp: true, losesAcks: false, losesReplies: false },
    client: () => (life?.isDead === false ? life.client : undefined),
    isDead: () => life?.isDead === true,
    wasBehind: () => wasBehind,
    latestMs: () => latestMs,
    refusal: () => life?.refusal,
    start(open = createTestClient) {
      if (life?.isDead === false || self.isRetired) return;
      // A process that is dead has no link any more; one that lives has this machine's.
      const begun: Life = { client: undefined, refusal: undefined, link: ownLink(), isDead: false };
      life = begun;
      const rng = testRng(`${seed} ${name} ${lives}`);
      opening = open({
        ...settingsOf(testRng(`${seed} ${name} ${lives++} settings`)(4)),
        account,
        ...relay.network(begun.link),
        store: mortalStore(begun, self.store),
        rng,
        now: clock,
        observe(record) {
          if (record.kind !== 'log' || begun.isDead) return;
          if (record.level === 'error' && record.event === 'envelope-kept') faults.push(`${name} could not handle an envelope`);
          if (record.event !== 'envelope-dropped') return;
          // No envelope is wrong by the standards of a call.
          if (record.code === 'ERR_ARGUMENT' || record.code === 'ERR_LENGTH') faults.push(`${name} dropped an envelope: ${record.code}`);
          droppedFor = record.code!;
        },
      }).then(
        (client) => {
          begun.client = client;
          if (begun.isDead || life !== begun) return end(begun);
          note(client);
          listen(begun, client);
        },
        (error: unknown) => {
          begun.refusal = error;
          if (open === createTestClient && !begun.isDead && life === begun) faults.push(`${name} did not open: ${codeOf(error)}`);
        },
      );
    },
    stop() {
      if (life !== undefined) end(life);
      life = undefined;
      armed = undefined;
    },
    arm(plan) {
      armed = plan ?? 'never';
    },
    async read(acks, until) {
      const running = life;
      const client = self.client();
      if (running === undefined || client === undefined || client.status.state === 'halted') return;
      const stop = new AbortController();
      const loop = async (): Promise<void> => {
        for await (const message of client.messages({ signal: stop.signal })) {
          if (running.isDead) return;
          show(message);
          // Some are seen before, some after, some never.
          const seenAt = message.id.codePointAt(0)! % 3;
          const see = async (): Promise<void> => {
            self.seen.add(message.id);
            await message.read();
          };
          if (seenAt === 0) await see();
          if (!acks) continue;
          await message.ack();
          if (running.isDead) return;
          acked.add(message.id);
          if (seenAt === 1) await see();
        }
      };
      const reading = loop().catch((error: unknown) => {
        if (!running.isDead && codeOf(error) !== 'ERR_STORE_ROLLBACK') faults.push(`${name}: reading ended: ${codeOf(error)}`);
      });
      await until();
      stop.abort();
      await reading;
    },
    backup: (at) => ({
      rows: [...self.store.rows()].map(([key, value]) => [key, new Uint8Array(value)] as const),
      acked: new Set(acked),
      at,
    }),
    async restore(backup) {
      self.wasRestored = true;
      self.store = await filled(backup.rows);
      acked = new Set(backup.acked);
    },
  };
  /** The link of a process: it goes up and down with the machine's, until the process dies. */
  const ownLink = (): Link => {
    let isCut = false;
    return {
      get isUp() {
        return !isCut && self.link.isUp;
      },
      set isUp(up) {
        isCut = !up;
      },
      onAck(parcel) {
        if (droppedFor !== undefined) self.dropped.push({ parcel, code: droppedFor });
        droppedFor = undefined;
      },
      get losesAcks() {
        return self.link.losesAcks;
      },
      get losesReplies() {
        return self.link.losesReplies;
      },
    };
  };
  return self;
}

export function codeOf(error: unknown): string {
  return isCyphrError(error) ? error.code : String(error);
}
