/** The commands there are: how each is called, what it may be given, and what it does. */

import { bench } from './bench.js';
import { inspect } from './inspect.js';
import { keygenRoot, signAccount, verifyStatement } from './root.js';
import { runSelftest } from './selftest.js';
import { verifyVectors } from './vectors.js';

/** What may be given behind a command, by name, and `file`, which has none. */
export interface Given {
  readonly out?: string | undefined;
  readonly key?: string | undefined;
  readonly account?: string | undefined;
  readonly identity?: string | undefined;
  readonly version?: string | undefined;
  readonly organisation?: string | undefined;
  readonly file?: string | undefined;
  readonly json?: boolean | undefined;
  readonly rounds?: string | undefined;
  readonly 'passphrase-file'?: string | undefined;
}

/** A command. Its name is one word or two. */
export interface Command {
  readonly name: string;
  /** What is typed behind the name. */
  readonly usage: string;
  readonly help: string;
  /** What it must be given, what it may be given besides, and what `file` is. */
  readonly needs: readonly (keyof Given)[];
  readonly takes: readonly (keyof Given)[];
  readonly file?: string;
  /** Does the whole of it, or throws. Whether all is well. */
  run(given: Given): Promise<boolean> | boolean;
}

/** In the order of the help. */
export const COMMANDS: readonly Command[] = [
  {
    name: 'inspect',
    usage: 'FILE | - | TEXT [--json]',
    help: `Explains a frame, a bundle, a device list, a code, an export or a record of a store, byte by byte. It is read from a file, from
standard input, or typed: hexadecimal, base64, armoured, or a JSON with such texts. Nothing secret is shown.`,
    needs: ['file'],
    takes: ['json'],
    file: 'a file, - or a text',
    run: inspect,
  },
  {
    name: 'selftest',
    usage: '[--json]',
    help: `Runs known answers of every primitive and layer, and live conversations over a bad network, on this machine's runtime; says which
operations the platform computes and which JavaScript does. Browsers have the same as @cyphr/e2ee/selftest.`,
    needs: [],
    takes: ['json'],
    run: runSelftest,
  },
  {
    name: 'vectors verify',
    usage: '[FOLDER] [--json]',
    help: `Plays every file of test vectors in a folder, or one file: this project's own, which the package has, and those of Wycheproof and
ACVP for the primitives that are used here. Says of all others that they are not for us.`,
    needs: [],
    takes: ['file', 'json'],
    run: verifyVectors,
  },
  {
    name: 'bench',
    usage: '[--rounds N] [--json]',
    help: `Measures sessions and messages of each profile on this machine, in under a minute: with what the platform computes, and with
JavaScript alone.`,
    needs: [],
    takes: ['json', 'rounds'],
    run: bench,
  },
  {
    name: 'keygen-root',
    usage: '--out FILE [--passphrase-file FILE]',
    help: "Makes an organisation's root key: FILE, encrypted under a passphrase, and FILE.pub, which applications are given.",
    needs: ['out'],
    takes: ['passphrase-file'],
    run: keygenRoot,
  },
  {
    name: 'sign-account',
    usage: '--key FILE --account NAME --identity HEX --out FILE [--version N] [--passphrase-file FILE]',
    help: `Signs that the account has this identity, 128 hexadecimal digits. Takes some seconds. A statement replaces those of lower
versions; the version is the time in milliseconds unless it is given.`,
    needs: ['key', 'account', 'identity', 'out'],
    takes: ['version', 'passphrase-file'],
    run: signAccount,
  },
  {
    name: 'verify-statement',
    usage: '--organisation FILE.pub FILE',
    help: 'Verifies what sign-account has written, and shows what it says.',
    needs: ['organisation', 'file'],
    takes: [],
    file: 'a statement',
    run: verifyStatement,
  },
];
