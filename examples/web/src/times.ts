/** Times as people say them. */

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const secondsFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const shortDayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const DAY_MS = 86_400_000;

export const clock = (ms: number): string => clockFormat.format(ms);
export const clockSeconds = (ms: number): string => secondsFormat.format(ms);
export const shortDay = (ms: number): string => shortDayFormat.format(ms);

/** The local calendar day, as a word to compare. */
export const dayOf = (ms: number): string => new Date(ms).toDateString();

export function dayName(ms: number): string {
  if (dayOf(ms) === dayOf(Date.now())) return 'Today';
  if (dayOf(ms) === dayOf(Date.now() - DAY_MS)) return 'Yesterday';
  return dayFormat.format(ms);
}
