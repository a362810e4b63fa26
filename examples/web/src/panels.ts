/** The panels beside a conversation, of which at most one is open. */

import { byId } from './dom.js';

const NAMES = ['relay', 'inside'] as const;

function toggle(name: (typeof NAMES)[number], isOpen: boolean): void {
  for (const other of NAMES) {
    const shows = other === name && isOpen;
    byId(other).hidden = !shows;
    byId(`${other}-open`).setAttribute('aria-expanded', String(shows));
  }
  byId(isOpen ? `${name}-close` : `${name}-open`).focus();
}

export function setUpPanels(): void {
  for (const name of NAMES) {
    const panel = byId(name);
    byId(`${name}-open`).addEventListener('click', () => toggle(name, panel.hidden === true));
    byId(`${name}-close`).addEventListener('click', () => toggle(name, false));
    panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') toggle(name, false);
    });
  }
}
