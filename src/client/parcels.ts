/** An application's records, packed into parts and handed over one part after another. Knows neither devices nor what becomes of a part. */

import { copy } from '../bytes.js';
import { UsageError } from '../errors.js';
import { abortable, abortReason } from './platform.js';

/** Records in one part: its message may have 4,096 values. */
const RECORDS_PER_PART = 4_000;
/** What stands before each record. */
const HEAD_BYTES = 5;

/** Some of an application's records, in order; `part` counts from 0. */
export interface Parcel {
  readonly part: number;
  readonly records: readonly Uint8Array[];
  readonly isLast: boolean;
}

/**
 * Reads `records` to their end, and calls `send` with as many as fit `partBytes`, one part at a time: nothing is read while a part is on
 * its way, but one record of the next. Without any record there is one part, which is empty. Records are copied as they are read.
 *
 * Throws `ERR_ARGUMENT` (`records`: one is no Uint8Array), `ERR_LENGTH` (`records`: one is longer than `partBytes`), what the records or
 * `send` throw, or `signal.reason`; then the iterator is closed, and parts may have been sent.
 */
export async function sendParcels(
  records: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  partBytes: number,
  send: (parcel: Parcel) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = Symbol.asyncIterator in records ? records[Symbol.asyncIterator]() : records[Symbol.iterator]();
  /** Whether the source has ended by itself, be it with an error. */
  let isOver = false;
  const take = async (): Promise<Uint8Array | undefined> => {
    if (signal?.aborted === true) throw abortReason(signal);
    isOver = true;
    const next = Promise.resolve(source.next());
    // One that is asked and does not answer is closed, too.
    const { done, value } = await abortable(next, signal).catch((error: unknown) => {
      isOver = signal?.aborted !== true;
      throw error;
    });
    if (done === true) return undefined;
    isOver = false;
    if (!(value instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'records must be Uint8Arrays', { field: 'records' });
    if (value.length <= partBytes) return copy(value);
    const message = `a record is too long: at most ${partBytes} bytes`;
    throw new UsageError('ERR_LENGTH', message, { field: 'records', got: value.length, max: partBytes });
  };
  try {
    let next = await take();
    for (let part = 0; part === 0 || next !== undefined; part++) {
      const packed: Uint8Array[] = [];
      let size = 0;
      while (next !== undefined && packed.length < RECORDS_PER_PART) {
        size += HEAD_BYTES + next.length;
        if (packed.length > 0 && size > partBytes) break;
        packed.push(next);
        next = await take();
      }
      await send({ part, records: packed, isLast: next === undefined });
    }
  } catch (error) {
    // Not waited for: a generator that is asked for its next record ends after that alone.
    const close = async (): Promise<unknown> => source.return?.();
    if (!isOver) close().catch(() => {});
    throw error;
  }
}
