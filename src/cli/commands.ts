/** The three commands around an organisation's root key. Each does its whole work or throws; `main.ts` says what went wrong. */

import { fromHex, toHex, wipe } from '../bytes.js';
import { checkAccount } from '../client/options.js';
import { clientClock, clientRng } from '../client/platform.js';
import { SLH_PUBLIC_KEY_BYTES } from '../crypto/slh-dsa.js';
import { UsageError } from '../errors.js';
import { generateRootKey, signRootStatement, verifyRootStatement } from '../identity/root.js';
import { openRootKey, sealRootKey } from './key-file.js';
import { askPassphrase, hint, readBytes, refuseExisting, say, writeNew } from './terminal.js';

const KEY_HASH_BYTES = 64;
const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/** What may be given behind a command, by name, and `file`, which has none. */
export interface Given {
  readonly out?: string | undefined;
  readonly key?: string | undefined;
  readonly account?: string | undefined;
  readonly identity?: string | undefined;
  readonly version?: string | undefined;
  readonly organisation?: string | undefined;
  readonly file?: string | undefined;
  readonly 'passphrase-file'?: string | undefined;
}

/** A command: what it must be given, what it may be given besides, and what it does. */
interface Command {
  readonly needs: readonly (keyof Given)[];
  readonly takes: readonly (keyof Given)[];
  run(given: Given): Promise<void> | void;
}

/** Hexadecimal of exactly so many bytes, in any case. */
function hexOf(text: string, lengthBytes: number, field: string): Uint8Array {
  const bytes = fromHex(text.trim().toLowerCase());
  if (bytes?.length === lengthBytes) return bytes;
  throw new UsageError('ERR_ARGUMENT', `${field} must be ${2 * lengthBytes} hexadecimal digits`, { field });
}

function versionOf(text: string | undefined, nowMs: number): number {
  const version = text === undefined ? nowMs : /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (version >= 1 && Number.isSafeInteger(version)) return version;
  throw new UsageError('ERR_ARGUMENT', `version must be a number from 1 to ${Number.MAX_SAFE_INTEGER}`, { field: 'version' });
}

async function keygenRoot(given: Given): Promise<void> {
  const file = given.out!;
  const publicFile = `${file}.pub`;
  refuseExisting(file, publicFile);
  const passphrase = await askPassphrase('create', given['passphrase-file']);
  const rng = clientRng(undefined);
  const root = generateRootKey(rng);
  try {
    writeNew(file, await sealRootKey(root, passphrase, rng), SECRET_MODE);
  } finally {
    wipe(root.secretKey);
  }
  writeNew(publicFile, `${toHex(root.publicKey)}\n`, PUBLIC_MODE);
  say(`${file}      the root key, encrypted: keep it offline, and a copy of it elsewhere`);
  say(`${publicFile}  the public key, for createClient's option organisation`);
}

async function signAccount(given: Given): Promise<void> {
  const file = given.out!;
  refuseExisting(file);
  const account = checkAccount(given.account, 'account');
  const accountKeyHash = hexOf(given.identity!, KEY_HASH_BYTES, 'identity');
  const nowMs = clientClock()();
  const version = versionOf(given.version, nowMs);
  const keyFile = readBytes(given.key!);
  const root = await openRootKey(keyFile, await askPassphrase('unlock', given['passphrase-file']));
  try {
    hint('signing: this takes some seconds…');
    const statement = signRootStatement(root, { account, accountKeyHash, version }, nowMs, clientRng(undefined));
    writeNew(file, statement, PUBLIC_MODE);
  } finally {
    wipe(root.secretKey);
  }
  say(`${file}  says that ${JSON.stringify(account)} has this identity, version ${version}`);
}

function verifyStatement(given: Given): void {
  const rootKey = hexOf(new TextDecoder().decode(readBytes(given.organisation!)), SLH_PUBLIC_KEY_BYTES, 'organisation');
  const { account, accountKeyHash, version, issuedAt } = verifyRootStatement(readBytes(given.file!), rootKey);
  say(`account   ${JSON.stringify(account)}`);
  say(`identity  ${toHex(accountKeyHash)}`);
  say(`version   ${version}`);
  say(`issued    ${new Date(issuedAt).toISOString()}`);
}

/** By name. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['keygen-root', { needs: ['out'], takes: ['passphrase-file'], run: keygenRoot }],
  ['sign-account', { needs: ['key', 'account', 'identity', 'out'], takes: ['version', 'passphrase-file'], run: signAccount }],
  ['verify-statement', { needs: ['organisation', 'file'], takes: [], run: verifyStatement }],
] satisfies [string, Command][]);
