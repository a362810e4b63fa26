/**
 * The page's own history: the SDK forgets a message once the application has acknowledged it, so the application keeps what it shows.
 *
 * It uses a second store of the same kind as the client's, so that what is read on the screen is encrypted on the disk.
 */

import { eraseStore, type SentState, type Store } from '@cyphr/e2ee';

/** One message as it is shown. */
export interface Line {
  /** Of one's own: the idempotency key it is sent with. Of others: the message's id. */
  readonly key: string;
  readonly peer: string;
  readonly own: boolean;
  readonly text: string;
  /** Where it stands in the conversation: when it was written here, or when it came in. */
  readonly atMs: number;
  /** Only of one's own. `unsent`: not yet handed to the SDK. */
  readonly state?: SentState | 'unsent' | undefined;
  /** The id that the SDK gave it, once it has. */
  readonly id?: string | undefined;
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
}

export interface History {
  /** Everything, in no order. */
  load(): Promise<{ readonly lines: readonly Line[]; readonly persons: readonly Person[] }>;
  /** Durable once it resolves. The same line again replaces itself. */
  putLine(line: Line): Promise<void>;
  putPerson(person: Person): Promise<void>;
  erase(): Promise<void>;
  close(): Promise<void>;
}

const PAGE_COUNT = 500;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The history in `store`, which it closes. `onElsewhere` is called with what another tab has put. */
export function openHistory(store: Store, name: string, onElsewhere: (change: { line?: Line; person?: Person }) => void): History {
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
  const put = (space: string, key: string, value: Line | Person): Promise<void> =>
    store.commit([{ key: [space, key], value: encoder.encode(JSON.stringify(value)) }]);

  return {
    load: async () => ({ lines: await all('line'), persons: await all('person') }),
    async putLine(line) {
      await put('line', line.key, line);
      channel.postMessage({ line });
    },
    async putPerson(person) {
      await put('person', person.key, person);
      channel.postMessage({ person });
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
