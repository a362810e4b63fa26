/** The three commands around an organisation's root key. Each does its whole work or throws; `main.ts` says what went wrong. */

import { fromHex, toHex, wipe } from '../bytes.js';
import { checkAccount } from '../client/options.js';
import { clientClock, clientRng } from '../client/platform.js';
import { SLH_PUBLIC_KEY_BYTES } from '../crypto/slh-dsa.js';
import { UsageError } from '../errors.js';
import { generateRootKey, signRootStatement, verifyRootStatement } from '../identity/root.js';
import type { Given } from './commands.js';
import { openRootKey, sealRootKey } from './key-file.js';
import { askPassphrase, hint, readBytes, refuseExisting, say, writeNew } from './terminal.js';

const KEY_HASH_BYTES = 64;
const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;

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

/** Makes `given.out`, encrypted, and `given.out`.pub. */
export async function keygenRoot(given: Given): Promise<boolean> {
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
  return true;
}

/** Writes a statement to `given.out`. */
export async function signAccount(given: Given): Promise<boolean> {
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
  return true;
}

/** Verifies `given.file` and says what it says. */
export function verifyStatement(given: Given): boolean {
  const rootKey = hexOf(new TextDecoder().decode(readBytes(given.organisation!)), SLH_PUBLIC_KEY_BYTES, 'organisation');
  const { account, accountKeyHash, version, issuedAt } = verifyRootStatement(readBytes(given.file!), rootKey);
  say(`account   ${JSON.stringify(account)}`);
  say(`identity  ${toHex(accountKeyHash)}`);
  say(`version   ${version}`);
  say(`issued    ${new Date(issuedAt).toISOString()}`);
  return true;
}
