/**
 * The drop box of a directory: slots in which two devices that share no session leave each other a few messages. What a call must look
 * like, for every adapter, and the box of a network in memory.
 *
 * Knows names and bytes. Who knows a slot's name may read it, and write it once: what lies there is sealed by those who use it.
 */

import { copy, equal } from '../bytes.js';
import { TransportError, UsageError } from '../errors.js';
import { linkLimits } from '../limits.js';
import { onAbort, throwIfAborted } from './abort.js';
import type { Directory } from './port.js';

/** Both calls of a drop box. */
export type DropBox = Required<Pick<Directory, 'leave' | 'pickUp'>>;

/** Slots of a network in memory; the oldest goes. It has no clock to count their minutes. */
const MEMORY_SLOTS = 1_000;

/** Throws `ERR_ARGUMENT` (`field: 'slot'`) unless `slot` is 32 lowercase hex digits. */
export function checkSlot(slot: unknown): void {
  if (typeof slot === 'string' && /^[0-9a-f]{32}$/.test(slot)) return;
  throw new UsageError('ERR_ARGUMENT', 'a slot is 32 lowercase hex digits', { field: 'slot' });
}

/** `checkSlot`, and `ERR_LENGTH` unless `bytes` are 1 to 65,536. */
export function checkLeave(slot: unknown, bytes: Uint8Array): void {
  checkSlot(slot);
  if (bytes.length > 0 && bytes.length <= linkLimits.slotBytes) return;
  throw new UsageError('ERR_LENGTH', 'a slot holds 1 to 65,536 bytes', { field: 'bytes', got: bytes.length, max: linkLimits.slotBytes });
}

/** Throws what the second writer of a slot gets, unless it writes the same bytes again. */
export function checkFirst(found: Uint8Array | undefined, bytes: Uint8Array): void {
  if (found !== undefined && !equal(found, bytes)) throw new TransportError('ERR_REJECTED', 'the slot is taken');
}

/** A drop box in memory. */
export function memoryDropBox(): DropBox {
  const slots = new Map<string, Uint8Array>();
  const waiting = new Set<() => void>();

  return {
    async leave(slot, bytes, options) {
      throwIfAborted(options?.signal);
      checkLeave(slot, bytes);
      const found = slots.get(slot);
      checkFirst(found, bytes);
      if (found !== undefined) return;
      slots.set(slot, copy(bytes));
      for (const oldest of slots.keys()) {
        if (slots.size <= MEMORY_SLOTS) break;
        slots.delete(oldest);
      }
      for (const look of [...waiting]) look();
    },

    async pickUp(slot, options) {
      const signal = options?.signal;
      throwIfAborted(signal);
      checkSlot(slot);
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          waiting.delete(look);
          signal?.removeEventListener?.('abort', end);
          resolve();
        };
        const look = (): void => {
          if (slots.has(slot)) end();
        };
        const timer = setTimeout(end, linkLimits.pollMs);
        waiting.add(look);
        onAbort(signal, end);
        look();
      });
      throwIfAborted(signal);
      const found = slots.get(slot);
      return found && copy(found);
    },
  };
}
