#!/usr/bin/env node
/** `npx @cyphr/e2ee`: an organisation's root key, on the machine where it is kept. Exits with 0, 1 (it did not work) or 2 (typed wrong). */

import { parseArgs } from 'node:util';
import { isCyphrError, UsageError } from '../errors.js';
import { COMMANDS, type Given } from './commands.js';
import { exitWith, say, tell } from './terminal.js';

const USAGE = `npx @cyphr/e2ee <command> …

keygen-root --out FILE [--passphrase-file FILE]
  Makes an organisation's root key: FILE, encrypted under a passphrase, and FILE.pub, which applications are given.

sign-account --key FILE --account NAME --identity HEX --out FILE [--version N] [--passphrase-file FILE]
  Signs that the account has this identity, 128 hexadecimal digits. Takes some seconds. A statement replaces those of lower
  versions; the version is the time in milliseconds unless it is given.

verify-statement --organisation FILE.pub FILE
  Verifies what sign-account has written, and shows what it says.

The passphrase is asked for on the terminal, or it is the first line of --passphrase-file. No file is ever overwritten.`;

/** Faults of what was typed, by the code that Node or this library gives them. */
const TYPED_WRONG = /^ERR_(?:PARSE_ARGS_|ARGUMENT$|LENGTH$)/;

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: text,
      key: text,
      account: text,
      identity: text,
      version: text,
      organisation: text,
      'passphrase-file': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  const { help, ...named } = values;
  if (help) return say(USAGE);
  const [name = '', file, ...more] = positionals;
  const command = COMMANDS.get(name);
  if (command === undefined) throw typedWrong(name === '' ? 'which command?' : `there is no command ${name}`);
  const given: Given = { ...named, ...(file !== undefined && { file }) };
  const missing = command.needs.find((each) => given[each] === undefined);
  if (missing !== undefined) throw typedWrong(`${name} needs ${missing === 'file' ? 'a statement' : `--${missing}`}`);
  const foreign = (Object.keys(given) as (keyof Given)[]).find((each) => ![...command.needs, ...command.takes].includes(each));
  if (foreign !== undefined || more.length > 0)
    throw typedWrong(`${name} takes no ${foreign === undefined || foreign === 'file' ? (more[0] ?? file) : `--${foreign}`}`);
  await command.run(given);
}

function typedWrong(message: string): UsageError {
  return new UsageError('ERR_ARGUMENT', message);
}

/** In a sentence, without a stack: keys and passphrases stand in none. */
function explain(error: unknown): void {
  const { message, code = '' } = error as Error & { readonly code?: string };
  const isTypedWrong = TYPED_WRONG.test(code);
  tell(isCyphrError(error) && !isTypedWrong ? `${message} (${code})` : message);
  if (isTypedWrong) tell('\nnpx @cyphr/e2ee --help says what there is to type.');
  exitWith(isTypedWrong ? 2 : 1);
}

main().catch(explain);
