/** Starting, watching and killing the processes of the demonstration. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One started process and what it has said on its standard output. */
export interface Running {
  readonly child: ChildProcess;
  /** Everything on its standard error. */
  errors(): string;
  say(word: string): void;
  /** SIGKILL: no handler runs, nothing is flushed. */
  kill(): Promise<void>;
  /** SIGTERM for the relay, a word for a person; resolves with the exit code. */
  stop(word?: string): Promise<number>;
}

const started = new Set<ChildProcess>();

/** Starts a script of examples/ with Node and tsx; `onLine` gets every line that it prints. */
export function start(script: string, options: Readonly<Record<string, string>>, onLine: (line: string) => void): Running {
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(process.execPath, ['--import', 'tsx', `examples/${script}`, ...flags], {
    cwd: ROOT,
    env: { ...process.env, TSX_TSCONFIG_PATH: 'examples/tsconfig.json' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  started.add(child);
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  child.stdin.on('error', () => {}); // it may be dead already
  createInterface({ input: child.stdout }).on('line', onLine);
  const exited = once(child, 'exit').then(([code]) => {
    started.delete(child);
    return code as number;
  });
  return {
    child,
    errors: () => errors,
    say: (word) => void child.stdin.write(`${word}\n`),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    stop(word) {
      if (word === undefined) child.kill('SIGTERM');
      else child.stdin.write(`${word}\n`);
      return exited;
    },
  };
}

/** Kills whatever is left. */
export function killAll(): void {
  for (const child of started) child.kill('SIGKILL');
}
