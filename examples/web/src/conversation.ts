/** One conversation: its messages, who it is with, and where one writes. */

import type { ClientStatus } from '@cyphr/e2ee';
import { toastError } from './ask.js';
import { avatar, byId, el, icon, spoken } from './dom.js';
import type { Line } from './history.js';
import type { Session, Talk } from './session.js';
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
  /** A line that is new, or has come further. */
  keep(line: Line): void;
  showPerson(): void;
  showStatus(status: ClientStatus): void;
}

export function conversationView(session: Session, compare: (talk: Talk) => void): ConversationView {
  const list = byId('lines');
  const scroll = byId('scroll');
  const text = byId<HTMLTextAreaElement>('text');
  const drafts = new Map<Talk, string>();
  const shown = new Map<string, HTMLLIElement>();
  let open: Talk | undefined;
  let last: Line | undefined;

  function meta(line: Line): HTMLElement {
    const time = el('time', { datetime: new Date(line.atMs).toISOString() }, clock(line.atMs));
    if (line.state === undefined) return el('p', { class: 'meta' }, time);
    const [sign, words] = STATES[line.state];
    const isSaid = SAID.includes(line.state);
    const state = el('span', { class: 'state' }, isSaid ? words : spoken(words));
    return el('p', { class: 'meta' }, time, icon(sign), state);
  }

  function append(line: Line, isArriving: boolean): void {
    const isNewDay = last === undefined || dayOf(last.atMs) !== dayOf(line.atMs);
    const isFirst = isNewDay || last?.own !== line.own || line.atMs - (last?.atMs ?? 0) > GROUP_MS;
    if (isNewDay) list.append(el('li', { class: 'day' }, dayName(line.atMs)));
    if (!isFirst && last !== undefined) shown.get(last.key)?.classList.remove('last');
    const item = el(
      'li',
      { class: `line last${line.own ? ' own' : ''}${isFirst ? ' first' : ''}${isArriving ? ' arriving' : ''}`, 'data-state': line.state },
      spoken(line.own ? 'You: ' : `${line.peer}: `),
      el('p', { class: 'bubble', dir: 'auto' }, line.text),
      meta(line),
    );
    list.append(item);
    shown.set(line.key, item);
    last = line;
  }

  function keep(line: Line): void {
    const item = shown.get(line.key);
    if (item !== undefined) {
      if (line.state !== undefined) item.dataset['state'] = line.state;
      item.lastElementChild?.replaceWith(meta(line));
      return;
    }
    append(line, true);
    if (isAtEnd || line.own) scroll.scrollTop = scroll.scrollHeight;
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
    text.value = '';
    grow();
    session.write(open, words).catch(toastError);
    text.focus();
  });
  text.addEventListener('input', grow);
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  const compareOpen = (): void => {
    if (open !== undefined) compare(open);
  };
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
      if (open !== undefined) drafts.set(open, text.value);
      open = talk;
      last = undefined;
      shown.clear();
      list.replaceChildren();
      for (const line of talk.lines) append(line, false);
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
    showPerson,
    showStatus(status) {
      const waiting = byId('waiting');
      waiting.hidden = status.state !== 'offline';
      waiting.textContent = 'You’re offline. What you write is kept on this device and goes out by itself.';
      text.disabled = status.state === 'halted' || status.state === 'closed';
    },
  };
}
