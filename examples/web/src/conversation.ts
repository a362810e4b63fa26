/** One conversation: its messages, who it is with, and where one writes. */

import type { ClientStatus } from '@cyphr/e2ee';
import { toastError } from './ask.js';
import { avatar, byId, el, icon, spoken } from './dom.js';
import type { Line } from './history.js';
import { reactionCounts, timerWords } from './lines.js';
import { setUpMenu } from './menu.js';
import type { Session, Talk } from './session.js';
import { setUpTimer } from './timer.js';
import { clock, dayName, dayOf } from './times.js';

/** Messages of one person within this time are one group. */
const GROUP_MS = 5 * 60_000;
/** This close to the end, the view follows new messages. */
const NEAR_PX = 120;

/** The sign and the words for how far one's own message has come. */
const STATES: Readonly<Record<NonNullable<Line['state']>, readonly [icon: string, words: string]>> = {
  unsent: ['clock', 'Waiting'],
  queued: ['clock', 'Waiting to go out'],
  held: ['pause', 'Held back'],
  accepted: ['tick', 'Sent'],
  delivered: ['ticks', 'Delivered'],
  read: ['ticks', 'Read'],
  cancelled: ['cross', 'Taken back'],
  failed: ['cross', 'Not sent'],
};
/** States that a person should see in words. */
const SAID: readonly Line['state'][] = ['held', 'failed', 'cancelled'];

export interface ConversationView {
  show(talk: Talk): void;
  /** A line is new, or has changed or moved. */
  keep(line: Line): void;
  /** A line has gone. */
  drop(): void;
  showPerson(): void;
  showStatus(status: ClientStatus): void;
}

/** What the view asks others to open. */
export interface ConversationDialogs {
  compare(talk: Talk): void;
  /** Why messages could not be read. */
  explain(reference: string): void;
}

export function conversationView(session: Session, { compare, explain }: ConversationDialogs): ConversationView {
  const list = byId('lines');
  const scroll = byId('scroll');
  const text = byId<HTMLTextAreaElement>('text');
  const drafts = new Map<Talk, string>();
  const shown = new Map<string, HTMLLIElement>();
  let open: Talk | undefined;
  let last: Line | undefined;
  /** The line that the composer changes, instead of writing a new one. */
  let editing: Line | undefined;
  const showMenu = setUpMenu(session, (line) => edit(line));
  const showTimer = setUpTimer(session);

  function meta(line: Line): HTMLElement {
    const time = el('time', { datetime: new Date(line.atMs).toISOString() }, clock(line.atMs));
    const said = [line.edited ? 'edited' : '', line.elsewhere ? 'from another device' : ''].filter(Boolean).join(', ');
    const words: Element[] = said === '' ? [] : [el('span', {}, `· ${said}`)];
    if (line.goneAtMs !== undefined) words.push(icon('timer'), spoken('disappears'));
    if (line.state === undefined || line.deleted) return el('p', { class: 'meta' }, time, ...words);
    const [sign, state] = STATES[line.state];
    return el(
      'p',
      { class: 'meta' },
      time,
      ...words,
      icon(sign),
      el('span', { class: 'state' }, SAID.includes(line.state) ? state : spoken(state)),
    );
  }

  function menuButton(line: Line): HTMLElement | undefined {
    if (line.id === undefined || line.deleted || line.state === 'cancelled' || line.state === 'failed') return undefined;
    const button = el('button', { type: 'button', class: 'quiet more' }, icon('more'), spoken(`Message: ${line.text.slice(0, 40)}`));
    button.addEventListener('click', () => {
      const now = open?.lines.find(({ key }) => key === line.key);
      if (now !== undefined) showMenu(now, button);
    });
    return button;
  }

  function reactions(line: Line): HTMLElement | undefined {
    const counts = [...reactionCounts(line)].map(([emoji, count]) => el('li', {}, count === 1 ? emoji : `${emoji} ${count}`));
    return counts.length === 0 ? undefined : el('ul', { class: 'reactions', 'aria-label': 'Reactions' }, ...counts);
  }

  /** What an item holds: everything that may change in a line. */
  function content(line: Line): (HTMLElement | undefined)[] {
    if (line.note !== undefined) {
      const { reference } = line;
      if (reference === undefined) return [el('p', {}, line.text)];
      const why = el('button', { type: 'button', class: 'link' }, 'Why?');
      why.addEventListener('click', () => explain(reference));
      return [el('p', {}, line.text, ' ', why)];
    }
    const bubble = el('p', { class: 'bubble', dir: 'auto' }, line.deleted ? 'This message was deleted' : line.text);
    const parts = [el('div', { class: 'said' }, bubble, menuButton(line)), reactions(line), meta(line)];
    return [spoken(line.own ? 'You: ' : `${line.peer}: `), ...parts];
  }

  function fill(item: HTMLLIElement, line: Line): void {
    item.replaceChildren(...content(line).filter((part) => part !== undefined));
    item.classList.toggle('deleted', line.deleted === true);
    if (line.state !== undefined) item.dataset['state'] = line.state;
  }

  function append(line: Line, isArriving: boolean): void {
    const isNewDay = last === undefined || dayOf(last.atMs) !== dayOf(line.atMs);
    const isNote = line.note !== undefined;
    const isFirst = isNewDay || isNote || last?.note !== undefined || last?.own !== line.own || line.atMs - (last?.atMs ?? 0) > GROUP_MS;
    if (isNewDay) list.append(el('li', { class: 'day' }, dayName(line.atMs)));
    if (!isFirst && last !== undefined) shown.get(last.key)?.classList.remove('last');
    const kind = isNote ? `note note-${line.note}` : `line last${line.own ? ' own' : ''}${isFirst ? ' first' : ''}`;
    const item = el('li', { class: `${kind}${isArriving ? ' arriving' : ''}` });
    fill(item, line);
    list.append(item);
    shown.set(line.key, item);
    last = line;
  }

  function showAll(): void {
    last = undefined;
    shown.clear();
    list.replaceChildren();
    for (const line of open?.lines ?? []) append(line, false);
  }

  function keep(line: Line): void {
    const keys = [...shown.keys()];
    const item = shown.get(line.key);
    const isInPlace = open?.lines.every(({ key }, i) => key === (keys[i] ?? line.key)) === true;
    if (!isInPlace) showAll();
    else if (item === undefined) append(line, true);
    else fill(item, line);
    if (isAtEnd || (line.own && item === undefined)) scroll.scrollTop = scroll.scrollHeight;
  }

  function edit(line: Line | undefined): void {
    if (editing === undefined && line === undefined) return;
    editing = line;
    byId('editing').hidden = line === undefined;
    text.value = line?.text ?? '';
    grow();
    text.focus();
  }

  function showPerson(): void {
    if (open === undefined) return;
    const { account } = open.person;
    const [sign, words] = {
      none: ['shield-open', 'Waiting for their keys'],
      unverified: ['shield-open', 'Not verified yet'],
      verified: ['shield', 'Verified'],
      vouched: ['shield', 'Vouched for'],
      changed: ['alert', 'Identity changed'],
    }[open.trust ?? 'none'] as [string, string];
    const trust = byId<HTMLButtonElement>('trust');
    trust.replaceChildren(icon(sign), el('span', {}, words), spoken(`. Safety number with ${account}`));
    trust.dataset['trust'] = open.trust ?? 'none';
    const advice = open.trust === 'verified' ? '' : ' Compare safety numbers to know that nobody is in between.';
    byId('promise').textContent = `Only you and ${account} can read this.${advice}`;
    const timerMs = open.person.timer?.ms ?? 0;
    byId('timer-open').dataset['on'] = String(timerMs > 0);
    byId('timer-state').textContent = `Disappearing messages: ${timerWords(timerMs)}`;
    byId('changed').hidden = open.trust !== 'changed';
    byId('changed-title').textContent = `The identity of ${account} has changed`;
  }

  /** Browsers without `field-sizing`: as high as its lines. */
  function grow(): void {
    if (CSS.supports('field-sizing', 'content')) return;
    text.style.blockSize = 'auto';
    text.style.blockSize = `${text.scrollHeight}px`;
  }

  // What was at the end stays there when the view gets smaller: a banner, a keyboard, a longer draft.
  let isAtEnd = true;
  scroll.addEventListener('scroll', () => {
    isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_PX;
  });
  new ResizeObserver(() => {
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  }).observe(scroll);

  const composer = byId<HTMLFormElement>('composer');
  composer.addEventListener('submit', (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (words === '' || open === undefined) return;
    const line = editing;
    edit(undefined);
    text.value = '';
    grow();
    if (line?.id === undefined) session.write(open, words).catch(toastError);
    else if (words !== line.text) session.amend(line, { kind: 'edit', target: line.id, text: words }).catch(toastError);
    text.focus();
  });
  text.addEventListener('input', grow);
  byId('editing-end').addEventListener('click', () => edit(undefined));
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') edit(undefined);
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  const compareOpen = (): void => {
    if (open !== undefined) compare(open);
  };
  byId('timer-open').addEventListener('click', () => {
    if (open !== undefined) showTimer(open);
  });
  byId('trust').addEventListener('click', compareOpen);
  byId('changed-compare').addEventListener('click', compareOpen);
  byId('changed-accept').addEventListener('click', async () => {
    if (open === undefined) return;
    const talk = open;
    try {
      await (await session.client.contact(talk.person.account).safetyNumber()).accept();
      await session.refresh(talk);
    } catch (error) {
      toastError(error);
    }
  });

  return {
    show(talk) {
      const { account } = talk.person;
      edit(undefined);
      if (open !== undefined) drafts.set(open, text.value);
      open = talk;
      showAll();
      byId('nothing').hidden = true;
      byId('conversation').hidden = false;
      byId('peer').textContent = account;
      byId('peer-avatar').replaceChildren(avatar(account));
      byId('text-label').textContent = `Message to ${account}`;
      text.value = drafts.get(talk) ?? '';
      grow();
      showPerson();
      scroll.scrollTop = scroll.scrollHeight;
    },
    keep,
    drop: showAll,
    showPerson,
    showStatus(status) {
      const waiting = byId('waiting');
      waiting.hidden = status.state !== 'offline';
      waiting.textContent = 'You’re offline. What you write is kept on this device and goes out by itself.';
      text.disabled = status.state === 'halted' || status.state === 'closed';
    },
  };
}
