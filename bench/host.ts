/**
 * One contender in a process of its own: `host.ts <module> <options as JSON>`, driven over IPC. It does what it is told and nothing between.
 *
 * The module's default export makes a `Subject`, or slots that are ready, from the options.
 */

import { MESSAGE_BYTES, type Sizes, type Slot, type Subject, sizesOf, slotsOf } from '../src/cli/scenarios.js';

/** What a process can be asked: its slots by name, one of them measured, its sizes. */
export type Question = { readonly ask: 'slot'; readonly name: string } | { readonly ask: 'sizes' };

/** One slot, per repetition. */
export interface Sample {
  /** Microseconds of processor time, of all threads of the process. */
  readonly cpuUs: number;
  readonly wallUs: number;
}
export type Answer = { readonly slots: string[] } | Sample | { readonly sizes: Sizes } | { readonly error: string };

type Ready = { readonly slots: Record<string, Slot> };
type Made = Subject<unknown, unknown> | Ready;

const [module, options] = process.argv.slice(2);
const { default: make } = (await import(new URL(module!, import.meta.url).href)) as { default(options: object): Made | Promise<Made> };
const { divide, ...own } = JSON.parse(options!) as { divide?: number };
const made = await make({ ...own, message: new Uint8Array(MESSAGE_BYTES).fill(0x6d) });
const slots: Partial<Record<string, Slot>> = 'slots' in made ? made.slots : slotsOf(made, divide);

async function measure({ count, prepare }: Slot): Promise<Sample> {
  const run = await prepare();
  const cpuStart = process.cpuUsage();
  const wallStart = performance.now();
  await run();
  const wallUs = (performance.now() - wallStart) * 1_000;
  const { user, system } = process.cpuUsage(cpuStart);
  return { cpuUs: (user + system) / count, wallUs: wallUs / count };
}

async function answer(question: Question): Promise<Answer> {
  if (question.ask === 'slot') return measure(slots[question.name]!);
  return { sizes: 'slots' in made ? { firstOverhead: 0, laterOverhead: 0 } : await sizesOf(made) };
}

process.on('message', (question: Question) => {
  answer(question).then(
    (each) => process.send!(each),
    (error: unknown) => process.send!({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
process.send!({ slots: Object.keys(slots) } satisfies Answer);
