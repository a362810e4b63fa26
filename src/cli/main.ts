#!/usr/bin/env node
/** `npx @cyphr/e2ee`: finds the command that was typed and runs it. Exits with 0, 1 (something failed) or 2 (typed wrong). */

import { parseArgs } from 'node:util';
import { isCyphrError, UsageError } from '../errors.js';
import { COMMANDS, type Command, type Given } from './commands.js';
import { endQuietly, exitWith, say, tell } from './terminal.js';

const help = (): string =>
  `npx @cyphr/e2ee <command> …
${COMMANDS.map(({ name, usage, help }) => `\n${name} ${usage}\n  ${help.replaceAll('\n', '\n  ')}\n`).join('')}
A passphrase is asked for on the terminal, or it is the first line of --passphrase-file. No file is ever overwritten. Ends with 0 if all
is well, 1 if something failed, 2 if it was typed wrong.`;

/** Faults of what was typed, by the code that Node or this library gives them. */
const TYPED_WRONG = /^ERR_(?:PARSE_ARGS_|ARGUMENT$|LENGTH$)/;

const text = { type: 'string' } as const;
const OPTIONS = {
  out: text,
  key: text,
  account: text,
  identity: text,
  version: text,
  organisation: text,
  'passphrase-file': text,
  rounds: text,
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  const { help: isHelp, ...named } = values;
  if (isHelp) return help().split('\n').forEach(say);
  const command = commandOf(positionals);
  const [file, ...more] = positionals.slice(command.name.split(' ').length);
  const given: Given = { ...named, ...(file !== undefined && { file }) };
  check(command, given, more);
  if (!(await command.run(given))) exitWith(1);
}

function commandOf([first = '', second = '']: readonly string[]): Command {
  const command = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`);
  if (command !== undefined) return command;
  const longer = COMMANDS.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  if (first !== '' && longer.length > 0) throw typedWrong(`did you mean ${longer.join(' or ')}?`);
  throw typedWrong(first === '' ? 'which command?' : `there is no command ${first}`);
}

/** Throws unless the command was given all that it needs, and nothing that it doesn't take. */
function check({ name, needs, takes, file = 'a file' }: Command, given: Given, more: readonly string[]): void {
  const missing = needs.find((each) => given[each] === undefined);
  if (missing !== undefined) throw typedWrong(`${name} needs ${missing === 'file' ? file : `--${missing}`}`);
  const foreign = (Object.keys(given) as (keyof Given)[]).find((each) => ![...needs, ...takes].includes(each));
  if (foreign !== undefined || more.length > 0)
    throw typedWrong(`${name} takes no ${foreign === undefined || foreign === 'file' ? (more[0] ?? given.file) : `--${foreign}`}`);
}

function typedWrong(message: string): UsageError {
  return new UsageError('ERR_ARGUMENT', message);
}

/** In a sentence, without a stack: keys and passphrases stand in none. */
function explain(error: unknown): void {
  const { message, code = '' } = error as Error & { readonly code?: string };
  const isTypedWrong = TYPED_WRONG.test(code);
  tell(isCyphrError(error) && !isTypedWrong ? `${message} (${code})` : message);
  if (isTypedWrong) for (const line of ['', 'npx @cyphr/e2ee --help says what there is to type.']) tell(line);
  exitWith(isTypedWrong ? 2 : 1);
}

endQuietly();
main().catch(explain);
