/**
 * One unlocked account: the SDK's client, the page's history, and what they make together. It knows nothing of elements; views listen.
 *
 * Two habits carry it. What one writes is put into the history first and handed to the SDK under the line's own idempotency key, so that
 * a page that dies in between can do it again without sending twice. What comes in is put into the history first and acknowledged then.
 */

import type { Client, ClientEvent, ClientStatus, Message, SentState, Trust } from '@cyphr/e2ee';
import { isCyphrError } from '@cyphr/e2ee';
import type { History, Line, Person } from './history.js';
import type { RelayLog } from './relay-log.js';

export interface Talk {
  person: Person;
  readonly lines: Line[];
  /** `undefined` until something is known of this person's keys. */
  trust: Trust | undefined;
}

export type Change =
  | { readonly kind: 'status' }
  | { readonly kind: 'talk'; readonly talk: Talk }
  | { readonly kind: 'line'; readonly talk: Talk; readonly line: Line; readonly isNew: boolean; readonly isNews: boolean }
  | { readonly kind: 'notice'; readonly text: string };

export interface Session {
  readonly account: string;
  readonly client: Client;
  readonly relayLog: RelayLog;
  /** The newest first. */
  talks(): Talk[];
  unread(talk: Talk): number;
  onChange(listener: (change: Change) => void): void;
  /** Finds or begins a conversation. Rejects with `ERR_NO_SESSION` if nobody has that name; without a network it is begun anyway. */
  begin(account: string): Promise<Talk>;
  write(talk: Talk, text: string): Promise<void>;
  markRead(talk: Talk): Promise<void>;
  /** Asks again what is known of this person's keys, and hands over what waited for an answer. */
  refresh(talk: Talk): Promise<void>;
  /** Out of `halted`: a new device for the same person. */
  recover(): Promise<void>;
  erase(): Promise<void>;
  close(): Promise<void>;
}

/** How far a line has come; a later state is never replaced by an earlier one, however late that is heard of. */
const ORDER: readonly (SentState | 'unsent')[] = ['unsent', 'queued', 'held', 'accepted', 'delivered', 'read', 'cancelled', 'failed'];
const isOpen = (line: Line): boolean => line.own && (line.state === 'unsent' || line.state === 'queued' || line.state === 'held');
const lastMs = (talk: Talk): number => talk.lines.at(-1)?.atMs ?? talk.person.sinceMs;

export async function openSession(
  client: Client,
  relayLog: RelayLog,
  makeHistory: (onElsewhere: (change: { line?: Line; person?: Person }) => void) => History,
): Promise<Session> {
  const talks = new Map<string, Talk>();
  const byLineId = new Map<string, Line>();
  const listeners: ((change: Change) => void)[] = [];
  const stop = new AbortController();
  const history = makeHistory(({ line, person }) => {
    if (person !== undefined) keepPerson(person);
    if (line !== undefined) keepLine(line, !line.own);
  });

  function tell(change: Change): void {
    for (const listener of listeners) listener(change);
  }
  function report(error: unknown): void {
    if (stop.signal.aborted || client.status.state === 'halted') return;
    tell({ kind: 'notice', text: isCyphrError(error) ? `${error.message} (${error.code})` : 'Something went wrong in this page.' });
    if (!isCyphrError(error)) throw error;
  }

  function keepPerson(person: Person): Talk {
    const known = talks.get(person.account);
    const talk: Talk = known ?? { person, lines: [], trust: undefined };
    if (known === undefined) talks.set(person.account, talk);
    else if (person.readMs > known.person.readMs) known.person = person;
    tell({ kind: 'talk', talk });
    return talk;
  }

  /** The newest version of a line, on the screen only. */
  function keepLine(line: Line, isNews: boolean): void {
    const talk = talks.get(line.peer) ?? keepPerson(newPerson(line.peer));
    const at = talk.lines.findIndex(({ key }) => key === line.key);
    if (at < 0) talk.lines.push(line);
    else talk.lines[at] = line;
    if (line.id !== undefined) byLineId.set(line.id, line);
    tell({ kind: 'line', talk, line, isNew: at < 0, isNews: isNews && at < 0 });
  }
  const newPerson = (account: string): Person => ({ key: crypto.randomUUID(), account, sinceMs: Date.now(), readMs: 0 });

  async function person(account: string): Promise<Talk> {
    const known = talks.get(account);
    if (known !== undefined) return known;
    const made = newPerson(account);
    await history.putPerson(made);
    return keepPerson(made);
  }

  async function move(line: Line, to: { readonly state: SentState; readonly id?: string }): Promise<void> {
    const latest = talks.get(line.peer)?.lines.find(({ key }) => key === line.key) ?? line;
    const isBack = ORDER.indexOf(to.state) < ORDER.indexOf(latest.state ?? 'unsent') && !(latest.state === 'held' && to.state === 'queued');
    const moved: Line = { ...latest, ...to, state: isBack ? latest.state : to.state };
    if (moved.state === latest.state && moved.id === latest.id) return;
    keepLine(moved, false);
    await history.putLine(moved);
  }

  /** Gives a line to the SDK, which keeps it from then on. The same key makes it the same message, however often this is called. */
  async function handOver(line: Line): Promise<void> {
    const sent = await client.send(line.peer, line.text, { key: line.key });
    await move(line, { state: sent.state, id: sent.id });
    // What happened before the id was known.
    const now = await client.sent(sent.id);
    if (now !== undefined) await move(line, { state: now.state, id: sent.id });
  }

  async function handOverAll(talk: Talk): Promise<void> {
    for (const line of talk.lines.filter(isOpen)) {
      try {
        await handOver(line);
      } catch (error) {
        if (!isCyphrError(error) || error.action !== 'ask') throw error;
      }
    }
  }

  async function refresh(talk: Talk): Promise<void> {
    try {
      talk.trust = (await client.contact(talk.person.account).identity({ signal: stop.signal })).trust;
    } catch (error) {
      // Unknown to the directory, or no directory at hand: then nothing is known yet.
      if (!isCyphrError(error)) throw error;
    }
    tell({ kind: 'talk', talk });
    if (talk.trust !== 'changed') await handOverAll(talk);
  }

  async function receive(message: Message): Promise<void> {
    const { account } = message.from;
    const talk = await person(account);
    // It was shown before the page died, and not acknowledged any more.
    if (talk.lines.some(({ key }) => key === message.id)) return;
    const line: Line = { key: message.id, peer: account, own: false, text: message.text, atMs: message.receivedAtMs };
    await history.putLine(line);
    talk.trust ??= message.trust;
    keepLine(line, true);
  }

  const stored = await history.load();
  for (const one of stored.persons) keepPerson(one);
  for (const line of [...stored.lines].sort((a, b) => a.atMs - b.atMs)) keepLine(line, false);

  const on = <T extends ClientEvent['type']>(type: T, listener: (event: Extract<ClientEvent, { type: T }>) => void): void => {
    client.on(type, listener, { signal: stop.signal });
  };
  on('status', () => tell({ kind: 'status' }));
  on('sent', ({ id, state }) => {
    const line = byLineId.get(id);
    if (line !== undefined) move(line, { state }).catch(report);
  });
  on('identityChanged', ({ account }) => {
    person(account).then(refresh).catch(report);
  });
  on('undecryptable', ({ from, heals }) => {
    const what = `A message${from === undefined ? '' : ` from ${from}`} could not be read.`;
    tell({ kind: 'notice', text: heals === 'by-itself' ? `${what} This heals by itself.` : `${what} Ask for it again.` });
  });
  function run(): void {
    client.subscribe(receive, { signal: stop.signal }).catch(report);
    for (const talk of talks.values()) refresh(talk).catch(report);
  }
  run();

  return {
    account: client.account,
    client,
    relayLog,
    talks: () => [...talks.values()].sort((a, b) => lastMs(b) - lastMs(a)),
    unread: ({ lines, person: { readMs } }) => lines.filter(({ own, atMs }) => !own && atMs > readMs).length,
    onChange: (listener) => listeners.push(listener),
    async begin(account) {
      const known = talks.get(account);
      if (known !== undefined) return known;
      try {
        await client.contact(account).identity({ signal: stop.signal });
      } catch (error) {
        if (!isCyphrError(error) || error.action !== 'retry') throw error;
      }
      const talk = await person(account);
      await refresh(talk);
      return talk;
    },
    async write(talk, text) {
      const atMs = Math.max(Date.now(), lastMs(talk) + 1);
      const line: Line = { key: crypto.randomUUID(), peer: talk.person.account, own: true, text, atMs, state: 'unsent' };
      await history.putLine(line);
      keepLine(line, false);
      await handOver(line).catch(async (error) => {
        // It waits for a person's decision, about which the banner asks.
        if (!isCyphrError(error) || error.action !== 'ask') throw error;
        await move(line, { state: 'held' });
        await refresh(talk);
      });
    },
    async markRead(talk) {
      const seenMs = talk.lines.at(-1)?.atMs ?? 0;
      if (seenMs <= talk.person.readMs) return;
      talk.person = { ...talk.person, readMs: seenMs };
      await history.putPerson(talk.person);
      tell({ kind: 'talk', talk });
    },
    refresh,
    async recover() {
      await client.recover();
      run();
    },
    async erase() {
      stop.abort();
      await client.erase();
      await history.erase();
    },
    async close() {
      stop.abort();
      await client.close();
      await history.close();
    },
  };
}

/** A word for where the connection stands, and how many messages wait for it. */
export function statusText(status: ClientStatus): string {
  switch (status.state) {
    case 'online':
      return status.queuedCount === 0 ? 'Online' : `Online · sending ${status.queuedCount}`;
    case 'connecting':
      return 'Connecting…';
    case 'offline':
      return status.queuedCount === 0 ? 'Offline' : `Offline · ${status.queuedCount} waiting`;
    case 'halted':
      return 'Stopped';
    case 'closed':
      return 'Closed';
  }
}
