/** The panel for developers: a session that is broken on purpose, what the SDK says meanwhile, and what it says of itself. */

import type { ClientEvent, Diagnosis } from '@cyphr/e2ee';
import { DAMAGED_COUNT, type Direction } from '../../breaking.js';
import type { OpenAccount } from './account.js';
import { toast, toastError } from './ask.js';
import { byId, el } from './dom.js';
import type { Talk } from './session.js';
import { clockSeconds } from './times.js';

const HEALS: Readonly<Record<Diagnosis['heals'], string>> = {
  'by-itself': 'heals by itself',
  'needs-person': 'needs a person',
  never: 'never heals',
};

const TOLD = ['devicesChanged', 'undecryptable', 'sessionEstablished', 'identityChanged', 'lastResortUsed', 'prekeysLow'] as const;
type Told = Extract<ClientEvent, { type: (typeof TOLD)[number] }>;

/** An event in a row of text: its fields, as the SDK gives them. */
function facts(event: Told): string {
  const { type: _, ...fields } = event;
  return Object.entries({ ...fields, ...('address' in fields ? { address: `${fields.address.account}/${fields.address.device}` } : {}) })
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(', ') : value}`)
    .join(' · ');
}

function diagnosisView({ cause, heals, advice, facts }: Diagnosis): HTMLElement {
  const rows = Object.entries(facts).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))]);
  const end = cause === 'healthy' ? '' : ` · ${HEALS[heals]}`;
  return el(
    'div',
    { class: 'diagnosis' },
    el('p', {}, el('code', {}, cause), end),
    el('p', {}, advice),
    el('dl', { class: 'facts' }, ...rows),
  );
}

export interface InsideView {
  /** The conversation that is open. */
  show(talk: Talk): void;
  /** Opens the panel with what is known of messages that could not be read. */
  explain(reference: string): void;
}

export function setUpInside({ client, breaker }: OpenAccount): InsideView {
  let open: Talk | undefined;
  let broken: { readonly peer: string; readonly direction: Direction } | undefined;
  let newest: Diagnosis | undefined;

  for (const type of TOLD) {
    client.on(type, (event) => {
      byId('nothing-happened').hidden = true;
      byId('happened').prepend(
        el(
          'li',
          {},
          el('code', {}, event.type),
          el('span', { class: 'when' }, clockSeconds(Date.now())),
          el('span', { class: 'fate' }, facts(event)),
        ),
      );
    });
  }

  async function diagnose(reference?: string): Promise<void> {
    newest = await client.diagnose(reference);
    byId('diagnosis').replaceChildren(diagnosisView(newest));
    byId('copy-diagnosis').hidden = false;
  }

  /** Of a session's two ends, the one that has not started it can start another one at once: its three messages are the ones to damage. */
  const directionOf = ({ lines }: Talk): Direction => (lines.find(({ note }) => note === undefined)?.own === false ? 'in' : 'out');

  function showBreaking(): void {
    if (broken === undefined) return;
    const { peer, direction } = broken;
    const left = breaker.left();
    const [writer, reader] = direction === 'out' ? ['you write', peer] : [`${peer} writes`, 'this device'];
    byId('breaking').textContent =
      left > 0
        ? `The next ${left} of ${DAMAGED_COUNT} messages that ${writer} will be damaged on their way.`
        : `${DAMAGED_COUNT} messages were damaged: ${reader} can’t read them, and asks for them again on a new session.`;
  }

  byId('break').addEventListener('click', () => {
    if (open === undefined) return;
    const peer = open.person.account;
    broken = { peer, direction: directionOf(open) };
    breaker.begin(broken.direction, peer);
    showBreaking();
  });
  breaker.onDamage(showBreaking);
  byId('diagnose').addEventListener('click', () => diagnose().catch(toastError));
  byId('copy-diagnosis').addEventListener('click', async () => {
    await navigator.clipboard.writeText(JSON.stringify(newest, undefined, 2));
    toast('The report is on the clipboard: numbers and words, no names.');
  });
  return {
    show(talk) {
      open = talk;
      byId('break').textContent = `Break the session with ${talk.person.account}`;
    },
    explain(reference) {
      if (byId('inside').hidden) byId('inside-open').click();
      diagnose(reference).catch(toastError);
    },
  };
}
