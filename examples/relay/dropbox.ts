/**
 * The drop box: slots in which two devices that share no session leave each other sealed bytes, for a quarter of an hour, in memory.
 *
 * A slot's name is random, and all that is needed to read it, or to write it once. What lies there the relay can't read.
 */

import { Later, Refused, type RelayLimits } from './limits.js';

const SLOT_MS = 15 * 60_000;
const SLOT_BYTES = 64 * 1024;
/** How long a question waits. Clients wait longer. */
const POLL_MS = 25_000;

interface Slot {
  readonly bytes: Buffer;
  readonly until: number;
}

export type DropBox = ReturnType<typeof createDropBox>;

export function createDropBox({ slotCount, slotTotalBytes }: RelayLimits) {
  const slots = new Map<string, Slot>();
  const waiting = new Map<string, Set<() => void>>();
  let totalBytes = 0;

  /** In the order of their ends: what was left first ends first. */
  function expire(): void {
    for (const [name, { bytes, until }] of slots) {
      if (until > Date.now()) return;
      slots.delete(name);
      totalBytes -= bytes.length;
    }
  }

  function filled(name: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const all = waiting.get(name) ?? new Set();
      const end = (): void => {
        if (!all.delete(end)) return;
        if (all.size === 0) waiting.delete(name);
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, POLL_MS);
      waiting.set(name, all.add(end));
      signal.addEventListener('abort', end);
    });
  }

  return {
    /** Throws `Refused` for bad names and lengths and for a slot that holds other bytes, `Later` while the box is full. */
    leave(name: string, bytes: Buffer): void {
      expire();
      if (bytes.length === 0 || bytes.length > SLOT_BYTES) throw new Refused();
      const found = slots.get(slotOf(name));
      if (found?.bytes.equals(bytes)) return;
      if (found !== undefined) throw new Refused();
      if (slots.size >= slotCount || totalBytes + bytes.length > slotTotalBytes) throw new Later(SLOT_MS / 15);
      slots.set(name, { bytes, until: Date.now() + SLOT_MS });
      totalBytes += bytes.length;
      for (const wake of waiting.get(name) ?? []) wake();
    },

    /** What lies in the slot; waits for it until `signal` aborts, or 25 s have passed. Throws `Refused` for a bad name. */
    async pickUp(name: string, signal: AbortSignal): Promise<Buffer | undefined> {
      expire();
      if (!slots.has(slotOf(name))) await filled(name, signal);
      return slots.get(name)?.bytes;
    },

    /** Ends all waiting. */
    close(): void {
      for (const all of waiting.values()) for (const wake of all) wake();
    },
  };
}

function slotOf(name: string): string {
  if (!/^[0-9a-f]{32}$/.test(name)) throw new Refused();
  return name;
}
