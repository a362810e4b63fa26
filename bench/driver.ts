/**
 * Runs contenders side by side: each in a process of its own that lives as long as the run, one slot at a time, A B C A B C, so that
 * whatever else the machine does meets all of them. Knows no report.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Sizes } from '../src/cli/scenarios.js';
import type { Contender } from './contenders.js';
import type { Answer, Question, Sample } from './host.js';

/** Rounds that are not counted: compilers warm up. */
const WARM_UP_ROUNDS = 4;

/** All that was measured of one contender: by scenario, one sample for each round. */
export interface Run {
  readonly id: string;
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
  readonly sizes: Sizes;
}

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
// Without the path mappings of the editor's configuration: what is measured is the built package, its backend chosen as anywhere.
const env = { ...process.env, TSX_TSCONFIG_PATH: path('../tsconfig.run.json') };

interface Host {
  readonly contender: Contender;
  readonly slots: readonly string[];
  ask<A extends Answer>(question: Question): Promise<A>;
  stop(): void;
}

async function start(contender: Contender): Promise<Host> {
  const { module, options, conditions = [], only } = contender;
  const execArgv = [...conditions.flatMap((condition) => ['-C', condition]), '--import', 'tsx'];
  const child = fork(path('host.ts'), [module, JSON.stringify(options)], { execArgv, env });
  const { slots } = await answerOf<{ slots: string[] }>(child, contender);
  return {
    contender,
    slots: slots.filter((name) => only === undefined || (only as readonly string[]).includes(name)),
    ask(question) {
      child.send(question);
      return answerOf(child, contender);
    },
    stop() {
      if (child.connected) child.disconnect();
    },
  };
}

async function answerOf<A extends Answer>(child: ChildProcess, { name }: Contender): Promise<A> {
  const done = new AbortController();
  const ended = once(child, 'exit', done).then(() => [{ error: 'the process ended' }]);
  const [answer] = (await Promise.race([once(child, 'message', done), ended])) as [Answer];
  ended.catch(() => {});
  done.abort();
  if ('error' in answer) throw new Error(`${name}: ${answer.error}`);
  return answer as A;
}

/** Measures all contenders for `rounds` rounds. Each round begins with another one. Rejects with what went wrong in any of them. */
export async function sideBySide(contenders: readonly Contender[], rounds: number, progress: (round: number) => void): Promise<Run[]> {
  const hosts: Host[] = [];
  try {
    for (const contender of contenders) hosts.push(await start(contender));
    const samples = new Map(hosts.map((host) => [host, Object.fromEntries(host.slots.map((name): [string, Sample[]] => [name, []]))]));
    const names = [...new Set(hosts.flatMap(({ slots }) => slots))];
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      const first = (round + WARM_UP_ROUNDS) % hosts.length;
      const order = [...hosts.slice(first), ...hosts.slice(0, first)];
      for (const name of names) {
        for (const host of order.filter(({ slots }) => slots.includes(name))) {
          const sample = await host.ask<Sample>({ ask: 'slot', name });
          if (round >= 0) samples.get(host)![name]!.push(sample);
        }
      }
      progress(round + 1);
    }
    const runs: Run[] = [];
    for (const host of hosts) {
      const { sizes } = await host.ask<{ sizes: Sizes }>({ ask: 'sizes' });
      runs.push({ id: host.contender.id, samples: samples.get(host)!, sizes });
    }
    return runs;
  } finally {
    for (const host of hosts) host.stop();
  }
}
