/** The terminal and the disk of the command: what it asks, says, reads and writes. */

import { execFile } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Presets, SingleBar } from 'cli-progress';
import { StoreError, UsageError } from '../errors.js';

/** Whoever reads may stop reading: nothing has failed then. */
export function endQuietly(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

/** What others wrote gives the terminal no orders and makes no lines: control characters, breaks, turns of direction, as JSON escapes them. */
function harmless(text: string): string {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => char.split('').map(escaped).join(''));
}

/** One line on standard output. */
export function say(line: string): void {
  process.stdout.write(`${harmless(line)}\n`);
}

/** One line on standard error, for who watches or looks for what went wrong. */
export function tell(line: string): void {
  process.stderr.write(`${harmless(line)}\n`);
}

/** Like `tell`, but only if somebody watches. */
export function hint(line: string): void {
  if (process.stderr.isTTY) tell(line);
}

/** What the process ends with, once there is nothing left to do. */
export function exitWith(code: number): void {
  process.exitCode = code;
}

/** A file's bytes; throws what Node does. */
export function readBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(path));
}

/** A file's bytes; throws what Node does, and `ERR_ARGUMENT` for a pipe or a device, which may never end. */
export function readFile(path: string): Uint8Array {
  if (statSync(path).isFile()) return readBytes(path);
  throw new UsageError('ERR_ARGUMENT', 'this is no file', { field: 'file' });
}

/** All of standard input. */
export function readInput(): Uint8Array {
  return new Uint8Array(readFileSync(0));
}

/** Whether there is a file of this name. */
export function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

/** Every .json below a folder, by path, or the one file itself. Throws what Node does. */
export function jsonFiles(place: string | URL): { readonly name: string; readonly path: string }[] {
  const folder = typeof place === 'string' ? place : fileURLToPath(place);
  if (!statSync(folder).isDirectory()) return [{ name: folder, path: folder }];
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
  return paths.sort().map((name) => ({ name, path: join(folder, name) }));
}

/** Shows how far a long work is, on standard error if somebody watches there and `isQuiet` is not set. */
export function progressBar(total: number, isQuiet: boolean): { next(what: string): void; stop(): void } {
  if (isQuiet || !process.stderr.isTTY) return { next: () => {}, stop: () => {} };
  const bar = new SingleBar({ format: '{bar} {value}/{total} {what}', clearOnComplete: true, hideCursor: true }, Presets.shades_grey);
  bar.start(total, 0, { what: '' });
  return { next: (what) => bar.increment(1, { what: harmless(what) }), stop: () => bar.stop() };
}

/** Processor time of this process, in milliseconds. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Whether Node was started under a condition by `runAgain`. */
export function runsUnder(condition: string): boolean {
  return process.execArgv.includes(`--conditions=${condition}`);
}

/** Runs this command with other words under a condition of package.json; what it says. Rejects with what Node says. */
export function runAgain(condition: string, words: readonly string[]): Promise<string> {
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const all = [...process.execArgv, `--conditions=${condition}`, main, ...words];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, all, (error, out) => (error === null ? resolve(out) : reject(error)));
  });
}

/** Throws `ERR_ARGUMENT` if there is something at one of the paths. */
export function refuseExisting(...paths: readonly string[]): void {
  const taken = paths.find((path) => existsSync(path));
  if (taken !== undefined) throw new UsageError('ERR_ARGUMENT', `${taken} is there already: nothing is overwritten`, { field: 'out' });
}

/** Writes a new file, on disk when it returns; throws what Node does, also if there is one. */
export function writeNew(path: string, content: Uint8Array | string, mode: number): void {
  const file = openSync(path, 'wx', mode);
  try {
    writeSync(file, content as string);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * The first line of `file`; without one, what is typed on the terminal, which doesn't show it: twice for a new one. Rejects with
 * `ERR_ARGUMENT` where there is no terminal, `ERR_STORE_KEY` if the two differ or none is given, and what Node throws for the file.
 */
export async function askPassphrase(purpose: 'create' | 'unlock', file: string | undefined): Promise<string> {
  if (file !== undefined) return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0]!;
  if (!process.stdin.isTTY) {
    const message = 'there is no terminal to ask for the passphrase: name a file with --passphrase-file';
    throw new UsageError('ERR_ARGUMENT', message, { field: 'passphrase-file' });
  }
  const [passphrase, again] = await askHidden(purpose === 'create' ? ['New passphrase: ', 'The same again: '] : ['Passphrase: ']);
  if (purpose === 'create' && again !== passphrase) throw new StoreError('ERR_STORE_KEY', 'the two passphrases differ');
  return passphrase!;
}

/** A line from the terminal for each question. Nothing is echoed: what readline would show goes nowhere. Ctrl-C and Ctrl-D cancel. */
async function askHidden(questions: readonly string[]): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  terminal.once('SIGINT', () => terminal.close());
  const lines = terminal[Symbol.asyncIterator]();
  const answers: string[] = [];
  try {
    for (const question of questions) {
      process.stderr.write(question);
      const { value, done } = await lines.next();
      tell('');
      if (done) throw new StoreError('ERR_STORE_KEY', 'cancelled: no passphrase was given');
      answers.push(value);
    }
    return answers;
  } finally {
    terminal.close();
  }
}
