/** The list of conversations. */

import { avatar, byId, el, spoken } from './dom.js';
import { summary } from './lines.js';
import type { Session, Talk } from './session.js';
import { clock, dayOf, shortDay } from './times.js';

export interface PeopleView {
  /** Brings the list up to date; `open` is marked as the current one. */
  show(open: Talk | undefined): void;
  focus(talk: Talk | undefined): void;
}

export function peopleView(session: Session, onOpen: (talk: Talk) => void): PeopleView {
  const list = byId('people');
  const rows = new Map<string, { readonly item: HTMLLIElement; readonly button: HTMLButtonElement }>();

  function row(talk: Talk): { readonly item: HTMLLIElement; readonly button: HTMLButtonElement } {
    const { account } = talk.person;
    const known = rows.get(account);
    if (known !== undefined) return known;
    const button = el('button', { type: 'button', class: 'person' });
    button.addEventListener('click', () => onOpen(talk));
    const made = { item: el('li', {}, button), button };
    rows.set(account, made);
    return made;
  }

  function fill(button: HTMLButtonElement, talk: Talk, isOpen: boolean): void {
    const last = talk.lines.filter(({ note }) => note === undefined).at(-1);
    const unread = session.unread(talk);
    const words = last === undefined ? 'No messages yet' : summary(last);
    const when = last === undefined ? '' : dayOf(last.atMs) === dayOf(Date.now()) ? clock(last.atMs) : shortDay(last.atMs);
    const count = unread > 0 ? el('span', { class: 'count' }, String(unread), spoken(' unread')) : undefined;
    button.toggleAttribute('aria-current', isOpen);
    if (isOpen) button.setAttribute('aria-current', 'true');
    button.replaceChildren(
      avatar(talk.person.account),
      el('span', {}, el('span', { class: 'name' }, talk.person.account), el('span', { class: 'last' }, words)),
      el('span', { class: 'edge' }, el('span', {}, when), count),
    );
  }

  return {
    show(open) {
      const focused = document.activeElement;
      const talks = session.talks();
      byId('nobody').hidden = talks.length > 0;
      talks.forEach((talk, i) => {
        const { item, button } = row(talk);
        fill(button, talk, talk === open);
        if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
      });
      // An element that is moved loses the focus.
      if (focused instanceof HTMLElement && list.contains(focused) && document.activeElement !== focused) focused.focus();
    },
    focus: (talk) => (talk === undefined ? byId('begin-name') : row(talk).button).focus(),
  };
}
