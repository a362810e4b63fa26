/**
 * One unlocked account: the SDK's client, the page's history, and what they make together. It knows nothing of elements; views listen.
 *
 * Two habits carry it. What one writes is put into the history first and handed to the SDK under the line's own idempotency key, so that
 * a page that dies in between can do it again without sending twice. What comes in is put into the history first and acknowledged then.
 */

import type { Client, ClientEvent, ClientStatus, Message, Sent, SentState, Trust } from '@cyphr/e2ee';
import { isCyphrError } from '@cyphr/e2ee';
import type { History, HistoryChange, Line, Person } from './history.js';
import { type Amendment, amended, byOrder, isAmendment, notesOf, orderNow, timerWords, unsentOrder, withTimer } from './lines.js';
import { readRecord, recordsOf } from './moving.js';

export interface Talk {
  person: Person;
  /** In the order of the conversation. */
  readonly lines: Line[];
  /** `undefined` until something is known of this person's keys. */
  trust: Trust | undefined;
}

export type Change =
  | { readonly kind: 'status' }
  | { readonly kind: 'talk'; readonly talk: Talk }
  | { readonly kind: 'line'; readonly talk: Talk; readonly line: Line; readonly isNews: boolean }
  | { readonly kind: 'gone'; readonly talk: Talk }
  | { readonly kind: 'devices' }
  | { readonly kind: 'notice'; readonly text: string };

export interface Session {
  readonly account: string;
  readonly client: Client;
  /** The newest first. */
  talks(): Talk[];
  unread(talk: Talk): number;
  onChange(listener: (change: Change) => void): void;
  /** Finds or begins a conversation. Rejects with `ERR_NO_SESSION` if nobody has that name; without a network it is begun anyway. */
  begin(account: string): Promise<Talk>;
  write(talk: Talk, text: string): Promise<void>;
  /** Edits or deletes a line of one's own, or reacts to any: one that the SDK has. */
  amend(line: Line, content: Amendment): Promise<void>;
  /** Takes back a line of one's own that has not left yet; whether it could. */
  takeBack(line: Line): Promise<boolean>;
  /** From now on messages disappear this long after they came; 0 for not any more. */
  setTimer(talk: Talk, ms: number): Promise<void>;
  markRead(talk: Talk): Promise<void>;
  /** Sends every conversation to a device that was just linked, and says so once all of it is on its way. */
  sendHistory(device: number): void;
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
const lastMs = ({ lines, person }: Talk): number => lines.reduce((ms, { atMs }) => Math.max(ms, atMs), person.sinceMs);
const isUnread = ({ own, note }: Line): boolean => !own && note === undefined;
/** Timers can't be set for longer. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export async function openSession(
  client: Client,
  makeHistory: (onElsewhere: (change: HistoryChange) => void) => History,
): Promise<Session> {
  const talks = new Map<string, Talk>();
  const byLineId = new Map<string, Line>();
  const listeners: ((change: Change) => void)[] = [];
  const stop = new AbortController();
  /** Messages that nobody has seen yet, whose senders are told once somebody has. */
  const unseen = new Map<string, Message>();
  const history = makeHistory(({ line, person, gone }) => {
    if (person !== undefined) keepPerson(person);
    if (line !== undefined) keepLine(line, isUnread(line));
    if (gone !== undefined) dropLine(gone);
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
    else known.person = { ...person, readMs: Math.max(person.readMs, known.person.readMs) };
    tell({ kind: 'talk', talk });
    return talk;
  }

  /** The newest version of a line, on the screen only. */
  function keepLine(line: Line, isNews: boolean): void {
    const talk = talks.get(line.peer) ?? keepPerson(newPerson(line.peer));
    const at = talk.lines.findIndex(({ key }) => key === line.key);
    if (at < 0) talk.lines.push(line);
    else talk.lines[at] = line;
    talk.lines.sort(byOrder);
    if (line.id !== undefined) byLineId.set(line.id, line);
    if (line.goneAtMs !== undefined) sweepAt(line.goneAtMs);
    tell({ kind: 'line', talk, line, isNews: isNews && at < 0 });
  }
  function dropLine(line: Line): void {
    const talk = talks.get(line.peer);
    const at = talk?.lines.findIndex(({ key }) => key === line.key) ?? -1;
    if (talk === undefined || at < 0) return;
    talk.lines.splice(at, 1);
    if (line.id !== undefined) byLineId.delete(line.id);
    tell({ kind: 'gone', talk });
  }
  async function put(line: Line, isNews: boolean): Promise<void> {
    await history.putLine(line);
    keepLine(line, isNews);
  }

  /** When the next line disappears. */
  let sweeping: { readonly atMs: number; readonly timer: ReturnType<typeof setTimeout> } | undefined;
  function sweepAt(atMs: number): void {
    if (sweeping !== undefined && sweeping.atMs <= atMs) return;
    clearTimeout(sweeping?.timer);
    const timer = setTimeout(() => sweep().catch(report), Math.min(Math.max(0, atMs - Date.now()), TIMER_MAX_MS));
    sweeping = { atMs, timer };
  }
  /** The SDK forgets messages whose time is over, and asks the same of the application. */
  async function sweep(): Promise<void> {
    sweeping = undefined;
    if (stop.signal.aborted) return;
    for (const line of [...talks.values()].flatMap(({ lines }) => lines)) {
      if (line.goneAtMs === undefined) continue;
      if (line.goneAtMs > Date.now()) {
        sweepAt(line.goneAtMs);
        continue;
      }
      await history.dropLine(line);
      dropLine(line);
    }
  }
  const newPerson = (account: string): Person => ({ key: crypto.randomUUID(), account, sinceMs: Date.now(), readMs: 0 });

  async function person(account: string): Promise<Talk> {
    const known = talks.get(account);
    if (known !== undefined) return known;
    const made = newPerson(account);
    await history.putPerson(made);
    return keepPerson(made);
  }

  async function move(line: Line, to: Partial<Pick<Sent, 'id' | 'order'>> & Pick<Sent, 'state'>): Promise<void> {
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
    await move(line, { state: sent.state, id: sent.id, order: sent.order });
    // What happened before the id was known.
    const now = await client.sent(sent.id);
    if (now !== undefined) await move(line, { state: now.state });
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

  /** What another device of this account has kept; what this one has itself stays as it is. */
  async function take(records: readonly Uint8Array[]): Promise<void> {
    for (const moved of records.map(readRecord)) {
      if ('person' in moved) {
        const { account, readMs, sinceMs } = moved.person;
        const known = talks.get(account)?.person ?? moved.person;
        const person = { ...known, readMs: Math.max(readMs, known.readMs), sinceMs: Math.min(sinceMs, known.sinceMs) };
        await history.putPerson(person);
        refresh(keepPerson(person)).catch(report);
      } else if (!talks.get(moved.line.peer)?.lines.some(({ key }) => key === moved.line.key)) await put(moved.line, false);
    }
  }

  async function receive(message: Message): Promise<void> {
    const { id, from, conversation, content, order, receivedAtMs: atMs } = message;
    if (content.kind === 'history') return take(content.records);
    if (conversation.kind !== 'person') return;
    const peer = conversation.account;
    const own = from.account === client.account;
    const talk = await person(peer);
    if (isAmendment(content)) {
      const line = byLineId.get(content.target);
      if (line !== undefined) await put(amended(line, from.account, content, order), false);
      return;
    }
    // It was shown before the page died, and not acknowledged any more. Of one that another device has told of, more is known now.
    if (talk.lines.some((line) => line.id === id)) return;
    if (content.kind === 'timer') return setTimerHere(talk, own ? 'You' : peer, content.disappearAfterMs, order);
    const { disappearAfterMs } = message;
    if (!own) {
      talk.trust = message.trust;
      unseen.set(id, message);
      tell({ kind: 'talk', talk });
    }
    const line: Line = { key: id, id, peer, own, text: message.text, atMs, order };
    const goneAtMs = disappearAfterMs === undefined ? undefined : atMs + disappearAfterMs;
    await put({ ...line, goneAtMs, ...(own && { elsewhere: true, state: 'accepted' }) }, !own);
  }

  async function setTimerHere(talk: Talk, who: string, ms: number, order: string): Promise<void> {
    talk.person = withTimer(talk.person, ms, order);
    await history.putPerson(talk.person);
    const text = ms === 0 ? `${who} turned disappearing messages off.` : `${who} set messages to disappear after ${timerWords(ms)}.`;
    await put({ key: `timer ${order}`, peer: talk.person.account, own: false, note: 'timer', text, atMs: Date.now(), order }, false);
  }

  /** Writes an event into the conversation that it is about. */
  async function note(account: string, event: Parameters<typeof notesOf>[0]): Promise<void> {
    const talk = talks.get(account);
    if (talk === undefined) return;
    const atMs = Date.now();
    for (const said of notesOf(event, account, talk.lines.at(-1)?.order ?? '')) {
      if (talk.lines.some(({ key }) => key === said.key)) continue;
      await put({ ...said, peer: account, own: false, atMs, order: orderNow(talk.lines, atMs) }, false);
    }
  }

  const stored = await history.load();
  for (const one of stored.persons) keepPerson(one);
  // Histories of an earlier version of this page know no order.
  for (const line of stored.lines) keepLine({ ...line, order: line.order ?? ` ${line.atMs}` }, false);

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
  on('devicesChanged', (event) => {
    tell({ kind: 'devices' });
    note(event.account, event).catch(report);
  });
  on('sessionEstablished', (event) => void note(event.address.account, event).catch(report));
  on('undecryptable', (event) => {
    if (event.from === undefined) tell({ kind: 'notice', text: 'A message could not be read.' });
    else note(event.from, event).catch(report);
  });
  function run(): void {
    client.subscribe(receive, { signal: stop.signal }).catch(report);
    for (const talk of talks.values()) refresh(talk).catch(report);
  }
  run();

  return {
    account: client.account,
    client,
    talks: () => [...talks.values()].sort((a, b) => lastMs(b) - lastMs(a)),
    unread: ({ lines, person: { readMs } }) => lines.filter((line) => isUnread(line) && line.atMs > readMs).length,
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
      const atMs = Date.now();
      const { account, timer } = talk.person;
      const goneAtMs = timer === undefined || timer.ms === 0 ? undefined : atMs + timer.ms;
      const key = crypto.randomUUID();
      const line: Line = { key, peer: account, own: true, text, atMs, order: unsentOrder(atMs), state: 'unsent', goneAtMs };
      await put(line, false);
      await handOver(line).catch(async (error) => {
        // It waits for a person's decision, about which the banner asks.
        if (!isCyphrError(error) || error.action !== 'ask') throw error;
        await move(line, { state: 'held' });
        await refresh(talk);
      });
    },
    async amend(line, content) {
      const sent = await client.send(line.peer, content);
      await put(amended(byLineId.get(content.target) ?? line, client.account, content, sent.order), false);
    },
    async takeBack(line) {
      const sent = line.id === undefined ? undefined : await client.sent(line.id);
      if (sent === undefined || !isOpen(line)) return false;
      return (await sent.cancel()) === 'cancelled';
    },
    async setTimer(talk, ms) {
      const sent = await client.send(talk.person.account, { kind: 'timer', disappearAfterMs: ms });
      await setTimerHere(talk, 'You', ms, sent.order);
    },
    async markRead(talk) {
      for (const { key } of talk.lines) {
        const message = unseen.get(key);
        unseen.delete(key);
        message?.read().catch(report);
      }
      const seenMs = lastMs(talk);
      if (seenMs <= talk.person.readMs) return;
      talk.person = { ...talk.person, readMs: seenMs };
      await history.putPerson(talk.person);
      tell({ kind: 'talk', talk });
    },
    sendHistory(device) {
      client.devices
        .sendHistory(device, recordsOf([...talks.values()]), { signal: stop.signal })
        .then(() => tell({ kind: 'notice', text: 'The new device has your conversations.' }))
        .catch(report);
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
