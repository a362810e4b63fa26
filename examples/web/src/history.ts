/**
 * The page's own history: the SDK forgets a message once the application has acknowledged it, so the application keeps what it shows.
 *
 * It uses a second store of the same kind as the client's, so that what is read on the screen is encrypted on the disk.
 */

import { eraseStore, type MessageId, type SentState, type Store } from '@cyphr/e2ee';

/** One message as it is shown, or a note between messages. */
export interface Line {
  /** Of one's own: the idempotency key it is sent with. Of others: the message's id. Of notes: what happened, so that it stands here once. */
  readonly key: string;
  readonly peer: string;
  readonly own: boolean;
  readonly text: string;
  /** When it was written here, or came in. */
  readonly atMs: number;
  /** Where it stands in the conversation, to be compared as strings: the SDK's key, once there is one. */
  readonly order: string;
  /** Only of one's own. `unsent`: not yet handed to the SDK. */
  readonly state?: SentState | 'unsent' | undefined;
  /** The id that the SDK gave it, once it has. */
  readonly id?: MessageId | undefined;
  /** Written on another of one's own devices. */
  readonly elsewhere?: true | undefined;
  /** What happened, and nobody wrote: shown between the messages. */
  readonly note?: 'devices' | 'trouble' | 'healed' | 'timer' | undefined;
  /** Of a note about messages that could not be read: what `diagnose` is asked with. */
  readonly reference?: string | undefined;
  /** The order of the newest edit. */
  readonly edited?: string | undefined;
  readonly deleted?: true | undefined;
  readonly reactions?: Readonly<Record<string, { readonly emoji: string; readonly order: string }>> | undefined;
  /** When it is to disappear from here. */
  readonly goneAtMs?: number | undefined;
}

/** A person in the list. */
export interface Person {
  /** Random: names the record. */
  readonly key: string;
  readonly account: string;
  /** When the conversation began. */
  readonly sinceMs: number;
  /** Everything up to here has been seen. */
  readonly readMs: number;
  /** How long messages stay, 0 for good, and the order of the message that said so. */
  readonly timer?: { readonly ms: number; readonly order: string } | undefined;
}

/** What has changed in the history. */
export interface HistoryChange {
  readonly line?: Line;
  readonly person?: Person;
  /** A line that has gone. */
  readonly gone?: Line;
}

export interface History {
  /** Everything, in no order. */
  load(): Promise<{ readonly lines: readonly Line[]; readonly persons: readonly Person[] }>;
  /** Durable once it resolves. The same line again replaces itself. */
  putLine(line: Line): Promise<void>;
  dropLine(line: Line): Promise<void>;
  putPerson(person: Person): Promise<void>;
  erase(): Promise<void>;
  close(): Promise<void>;
}

const PAGE_COUNT = 500;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The history in `store`, which it closes. `onElsewhere` is called with what another tab has put. */
export function openHistory(store: Store, name: string, onElsewhere: (change: HistoryChange) => void): History {
  const channel = new BroadcastChannel(`history ${name}`);
  channel.onmessage = ({ data }) => onElsewhere(data);

  async function all<T>(space: string): Promise<T[]> {
    const values: T[] = [];
    for (
      let rows = await store.list([space], PAGE_COUNT);
      rows.length > 0;
      rows = await store.list([space], PAGE_COUNT, rows.at(-1)!.key)
    ) {
      for (const { value } of rows) values.push(JSON.parse(decoder.decode(value)));
    }
    return values;
  }
  const tell = (change: HistoryChange): void => channel.postMessage(change);
  const put = (space: string, key: string, value: Line | Person): Promise<void> =>
    store.commit([{ key: [space, key], value: encoder.encode(JSON.stringify(value)) }]);

  return {
    load: async () => ({ lines: await all('line'), persons: await all('person') }),
    async putLine(line) {
      await put('line', line.key, line);
      tell({ line });
    },
    async dropLine(line) {
      await store.commit([{ key: ['line', line.key], value: null }]);
      tell({ gone: line });
    },
    async putPerson(person) {
      await put('person', person.key, person);
      tell({ person });
    },
    async erase() {
      channel.close();
      await eraseStore(store);
    },
    async close() {
      channel.close();
      await store.close();
    },
  };
}
