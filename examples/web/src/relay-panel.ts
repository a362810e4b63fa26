/** The panel that shows what the relay sees. */

import { byId, el, icon, spoken } from './dom.js';
import type { RelayEntry, RelayLog } from './relay-log.js';
import { clockSeconds } from './times.js';

const bytesFormat = new Intl.NumberFormat();

function whatIs({ kind, direction, to }: RelayEntry): string {
  if (kind === 'keys-published') return 'Your public keys';
  if (kind === 'keys-asked-for') return `Public keys of ${to?.account}, please`;
  if (kind === 'drop-box') return direction === 'out' ? 'Sealed note, left for a device' : 'Sealed note, picked up';
  return direction === 'in' ? 'Envelope in your mailbox' : `Envelope for ${to?.account}`;
}

function facts({ kind, to, sizeBytes, outcome }: RelayEntry): string {
  const size = sizeBytes === 0 ? [] : [`${bytesFormat.format(sizeBytes)} bytes`];
  const device = kind === 'envelope' && to?.device !== undefined ? [`device ${to.device}`] : [];
  return [...size, ...device, outcome].join(' · ');
}

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

function row(entry: RelayEntry): HTMLLIElement {
  const { direction, atMs, head } = entry;
  return el(
    'li',
    { class: `envelope ${direction}` },
    icon(direction),
    el('span', { class: 'what' }, spoken(direction === 'out' ? 'Out: ' : 'In: '), whatIs(entry)),
    el('span', { class: 'when' }, clockSeconds(atMs)),
    el('span', { class: 'fate' }, facts(entry)),
    head.length === 0 ? undefined : el('code', { class: 'hex' }, spoken('Begins with '), `${hex(head)} …`),
  );
}

export function setUpRelayPanel(log: RelayLog): void {
  const list = byId('traffic');
  const rows = new Map<RelayEntry, HTMLLIElement>();

  function keep(entry: RelayEntry): void {
    const made = row(entry);
    const known = rows.get(entry);
    if (known === undefined) list.prepend(made);
    else known.replaceWith(made);
    rows.set(entry, made);
    for (const [old, item] of rows) {
      if (log.entries.includes(old)) break;
      item.remove();
      rows.delete(old);
    }
    byId('no-traffic').hidden = true;
  }

  for (const entry of log.entries) keep(entry);
  log.onEntry(keep);
}
