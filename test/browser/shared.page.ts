/** One of several tabs on one store: leading, losing, talking. */

import { idbStore } from '@cyphr/e2ee/store/idb';
import type { Leadership, SharedChannel, Store } from '../../src/store/port.js';

let store: Store = idbStore('shared');
let leadership: Leadership | undefined;
let channel: SharedChannel | undefined;
const heard: unknown[] = [];

/** Where a tab says what became of what it waits for: `fetch('/report/<topic>')`. */
const report = (topic: string, text: string): Promise<unknown> => fetch(`/report/${topic}`, { method: 'POST', body: text });

/** Asks to lead; whether it does. */
export async function lead(how: 'if-free' | 'steal'): Promise<boolean> {
  const granted = await store.shared!.lead(how);
  leadership = granted ?? leadership;
  return granted !== undefined;
}

/** Waits to lead, and reports `tab` on the topic when it does, or the code of why it never will. */
export function waitToLead(topic: string, tab: string): void {
  store.shared!.lead('wait').then(
    (granted) => {
      leadership = granted;
      return report(topic, tab);
    },
    (error: { code: string }) => report(topic, `${tab} ${error.code}`),
  );
}

/** Reports on the topic when the leadership is lost. */
export function tellLoss(topic: string): void {
  leadership!.lost.then(() => report(topic, 'lost'));
}

export function release(): void {
  leadership!.release();
}

/** Joins the channel; what is heard is reported on the topic, after the name of the tab. */
export function join(topic: string, tab: string): void {
  channel = store.shared!.join((message) => {
    heard.push(message);
    const { text, bytes } = message as { text: string; bytes: Uint8Array };
    report(topic, `${tab} heard ${text} ${bytes.join('.')}`);
  });
}
export const post = (text: string): void => channel!.post({ text, bytes: new Uint8Array([1, 2, 255]) });
export const heardCount = (): number => heard.length;

/** Writes a row of session keys. */
export const write = (): Promise<void> => store.commit([{ key: ['session', 'x'], value: new Uint8Array(32).fill(7) }]);
/** The code of what a read and an unconditional commit say; 'ok' if they hold. */
export async function codes(): Promise<string[]> {
  const codeOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  return [await codeOf(store.read([['session', 'x']])), await codeOf(write())];
}

export const erase = (): Promise<unknown> => store.erase!();
export const close = (): Promise<void> => store.close();
/** The store anew. */
export function reopen(): void {
  store = idbStore('shared');
}
export const databases = async (): Promise<(string | undefined)[]> => (await indexedDB.databases()).map(({ name }) => name);
