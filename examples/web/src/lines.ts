/** What becomes of a conversation's lines: their order, what later messages say of earlier ones, and the words for what nobody wrote. */

import type { ClientEvent, Content } from '@cyphr/e2ee';
import type { Line, Person } from './history.js';

/** What says something about an earlier message. */
export type Amendment = Extract<Content, { kind: 'edit' | 'reaction' | 'deletion' }>;

export function isAmendment(content: Content): content is Amendment {
  return content.kind === 'edit' || content.kind === 'reaction' || content.kind === 'deletion';
}

export const byOrder = (a: Line, b: Line): number => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0);

/** Greater than every key of the SDK: what it doesn't have yet stands at the end. */
const LAST = '~';

/** The place of a line that the SDK doesn't have yet. */
export const unsentOrder = (atMs: number): string => LAST + atMs;

/** A place behind all that the SDK has given one, and before what comes later. */
export function orderNow(lines: readonly Line[], atMs: number): string {
  return `${lines.filter(({ order }) => !order.startsWith(LAST)).at(-1)?.order ?? ' '}~${atMs}`;
}

/** `line` after `by` has said this about it. The SDK has seen to it that `by` may. */
export function amended(line: Line, by: string, content: Amendment, order: string): Line {
  if (line.deleted) return line;
  switch (content.kind) {
    case 'edit':
      return order > (line.edited ?? '') ? { ...line, text: content.text, edited: order } : line;
    case 'reaction': {
      if (order <= (line.reactions?.[by]?.order ?? '')) return line;
      return { ...line, reactions: { ...line.reactions, [by]: { emoji: content.emoji, order } } };
    }
    case 'deletion':
      return { ...line, text: '', reactions: undefined, edited: undefined, deleted: true };
  }
}

/** Reactions as they are shown: how many people said which. */
export function reactionCounts({ reactions = {} }: Line): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { emoji } of Object.values(reactions)) if (emoji !== '') counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  return counts;
}

/** What a message says in one row of text. */
export function summary({ own, text, deleted }: Line): string {
  return `${own ? 'You: ' : ''}${deleted ? 'Deleted' : text.replaceAll('\n', ' ')}`;
}

export const TIMERS: readonly (readonly [ms: number, words: string])[] = [
  [0, 'Off'],
  [30_000, '30 seconds'],
  [3_600_000, '1 hour'],
  [86_400_000, '1 day'],
  [604_800_000, '1 week'],
];

export function timerWords(ms: number): string {
  return TIMERS.find(([known]) => known === ms)?.[1] ?? `${Math.round(ms / 1000)} seconds`;
}

/** `person` after a message of this order has set how long messages stay. */
export function withTimer(person: Person, ms: number, order: string): Person {
  return order > (person.timer?.order ?? '') ? { ...person, timer: { ms, order } } : person;
}

type Event = Extract<ClientEvent, { type: 'devicesChanged' | 'undecryptable' | 'sessionEstablished' }>;
type Note = Required<Pick<Line, 'note'>> & Pick<Line, 'key' | 'text' | 'reference'>;

const devices = (list: readonly number[]): string => (list.length === 1 ? 'a device' : `${list.length} devices`);

/** What there is to say of an event in the conversation with `account`. The key is the same in every tab. */
export function notesOf(event: Event, account: string, lastOrder: string): Note[] {
  switch (event.type) {
    case 'devicesChanged': {
      const said: readonly (readonly [list: readonly number[], text: string])[] = [
        [event.added, `${account} has linked ${devices(event.added)}.`],
        [event.removed, `${account} has removed ${devices(event.removed)}.`],
        [event.refused, `The relay shows ${devices(event.refused)} of ${account} without their signature. Nothing is encrypted for it.`],
      ];
      return said.flatMap(([list, text], i) =>
        list.length === 0 ? [] : [{ note: 'devices', key: `devices ${i} ${list.join(' ')}`, text }],
      );
    }
    case 'undecryptable': {
      const end = {
        'by-itself': 'They are asked for again.',
        'needs-person': `Ask ${account} to write again.`,
        never: 'They never will be.',
      }[event.heals];
      return [
        {
          note: 'trouble',
          key: event.reference,
          text: `Messages from ${account} could not be read. ${end}`,
          reference: event.reference,
        },
      ];
    }
    case 'sessionEstablished': {
      if (event.reason === 'first-contact') return [];
      const what = event.reason === 'healed' ? `The session with ${account} has mended.` : `${account} has set up a device again.`;
      return [{ note: 'healed', key: `${event.reason} ${event.address.device} ${lastOrder}`, text: what }];
    }
  }
}
