/** The questions before what can't be undone, and the words for what went wrong. */

import { isCyphrError } from '@cyphr/e2ee';
import { byId } from './dom.js';

/** Whether the person says yes. Escape is no. */
export function ask(question: { readonly title: string; readonly text: string; readonly yes: string }): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('confirm');
  byId('confirm-title').textContent = question.title;
  byId('confirm-text').textContent = question.text;
  byId('confirm-yes').textContent = question.yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
}

const TOAST_MS = 8_000;
let fading: ReturnType<typeof setTimeout> | undefined;

/** Says something at the bottom of the screen, over whatever is open, for a while. */
export function toast(text: string): void {
  const line = byId('toast');
  line.textContent = text;
  line.showPopover();
  clearTimeout(fading);
  fading = setTimeout(() => line.hidePopover(), TOAST_MS);
}

/** Shows an error of the SDK; what isn't one is a bug of this page, and is left to the console. */
export function toastError(error: unknown): void {
  if (!isCyphrError(error)) throw error;
  toast(`${error.message[0]?.toUpperCase()}${error.message.slice(1)} (${error.code})`);
}
