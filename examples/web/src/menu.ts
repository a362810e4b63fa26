/** The small menu of one message: reactions for any, editing and deleting for one's own. */

import { ask, toastError } from './ask.js';
import { byId, el, spoken } from './dom.js';
import type { Line } from './history.js';
import type { Session } from './session.js';

const EMOJI: readonly (readonly [emoji: string, words: string])[] = [
  ['👍', 'Thumbs up'],
  ['❤️', 'Heart'],
  ['😂', 'Laughing'],
  ['😮', 'Surprised'],
  ['🙏', 'Thanks'],
];
const GAP_PX = 6;

/** Returns what opens the menu of a line beside a button. `onEdit` begins to edit. */
export function setUpMenu(session: Session, onEdit: (line: Line) => void): (line: Line, opener: HTMLElement) => void {
  const menu = byId('menu');
  let open: Line | undefined;

  /** Does it with the line that the menu is of, and closes the menu. */
  const on = (button: HTMLElement, act: (line: Line) => Promise<void> | void): void => {
    button.addEventListener('click', async () => {
      const line = open;
      menu.hidePopover();
      try {
        if (line !== undefined) await act(line);
      } catch (error) {
        toastError(error);
      }
    });
  };

  async function remove(line: Line): Promise<void> {
    const isSure = await ask({
      title: 'Delete this message?',
      text: 'It is deleted here, and the other side is asked to. Whoever has read it may have kept it.',
      yes: 'Delete',
    });
    if (!isSure || line.id === undefined || (await session.takeBack(line))) return;
    await session.amend(line, { kind: 'deletion', target: line.id });
  }

  for (const [emoji, words] of EMOJI) {
    const button = el('button', { type: 'button', class: 'quiet emoji' }, el('span', { 'aria-hidden': 'true' }, emoji), spoken(words));
    byId('reactions').append(button);
    on(button, (line) => {
      const before = line.reactions?.[session.account]?.emoji;
      return session.amend(line, { kind: 'reaction', target: line.id!, emoji: before === emoji ? '' : emoji });
    });
  }
  on(byId('edit'), onEdit);
  on(byId('delete'), remove);

  return (line, opener) => {
    open = line;
    for (const id of ['edit', 'delete']) byId(id).hidden = !line.own;
    menu.showPopover();
    // Below the button where there is room, and within the screen.
    const at = opener.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    const below = at.bottom + GAP_PX;
    const left = Math.min(Math.max(GAP_PX, line.own ? at.right - width : at.left), innerWidth - width - GAP_PX);
    menu.style.left = `${left}px`;
    menu.style.top = `${below + height > innerHeight ? Math.max(GAP_PX, at.top - height - GAP_PX) : below}px`;
    menu.querySelector<HTMLElement>('.emoji')?.focus();
  };
}
