/** The command as somebody types it: in a process of its own, from the sources. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The project's folder, where the command runs. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What Node is given before the words. */
export const SOURCE = ['--import', 'tsx', 'src/cli/main.ts'];
export const env = { ...process.env, TSX_TSCONFIG_PATH: 'tsconfig.json' };

/** A child that hangs ends with its test, not with the run. */
export const BOUND = { timeout: 55_000, killSignal: 'SIGKILL' } as const;

/** What a run said, and how it ended. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command to its end, or to the bound: its code is -1 then. */
export function runCommand(...words: readonly string[]): Promise<Ran> {
  return pipeCommand('', ...words);
}

/** The same, with something on standard input. */
export function pipeCommand(input: string | Uint8Array, ...words: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env, maxBuffer: 2 ** 26, ...BOUND };
    const child = execFile(process.execPath, [...SOURCE, ...words], options, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
    child.stdin?.end(input);
  });
}
