/** How long the messages of a conversation stay. */

import { toastError } from './ask.js';
import { byId, el } from './dom.js';
import { TIMERS } from './lines.js';
import type { Session, Talk } from './session.js';

/** Returns what opens the dialog for a conversation. */
export function setUpTimer(session: Session): (talk: Talk) => void {
  const dialog = byId<HTMLDialogElement>('timer');
  const form = byId<HTMLFormElement>('timer-form');
  let open: Talk | undefined;
  byId('timer-choices').append(
    ...TIMERS.map(([ms, words]) =>
      el('label', {}, el('input', { type: 'radio', name: 'timer', value: String(ms) }), el('span', {}, words)),
    ),
  );
  const chosen = (): HTMLInputElement | undefined => form.querySelector<HTMLInputElement>('input:checked') ?? undefined;
  form.addEventListener('submit', () => {
    const ms = Number(chosen()?.value ?? 0);
    if (open !== undefined && ms !== (open.person.timer?.ms ?? 0)) session.setTimer(open, ms).catch(toastError);
  });
  return (talk) => {
    open = talk;
    const now = String(talk.person.timer?.ms ?? 0);
    for (const input of form.querySelectorAll<HTMLInputElement>('input')) input.checked = input.value === now;
    dialog.showModal();
    (chosen() ?? form.querySelector('input'))?.focus();
  };
}
