/** What every input owes, whatever it is: bounded work and memory. */

import type { Trace } from './coverage.js';
import { must, type Target } from './target.js';

const DEFAULT_WORK = { fixed: 3_000, perByte: 60 };
/** Array buffers may grow by this much for one input. */
const BUFFERS = { fixed: 8 * 1024 * 1024, perByte: 1_024 };

/** Throws a finding where an input cost more than it may. */
export function checkTrace({ work = DEFAULT_WORK }: Target, input: Uint8Array, { work: done, bufferBytes }: Trace): void {
  const most = work.fixed + work.perByte * input.length;
  must(done <= most, `${done} blocks for ${input.length} bytes: more than ${most}`);
  const room = BUFFERS.fixed + BUFFERS.perByte * input.length;
  must(bufferBytes <= room, `${bufferBytes} bytes of buffers for ${input.length} bytes: more than ${room}`);
}
