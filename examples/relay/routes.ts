/** The HTTP routes: what a request must look like, who may make it, and what the directory does then. */

import type { IncomingMessage } from 'node:http';
import type { Address, Auth, Claim, Session } from './auth.js';
import type { Directory, PublishedKeys } from './directory.js';
import type { DropBox } from './dropbox.js';
import { Refused, type RelayLimits, type Spend } from './limits.js';
import type { Statements } from './statements.js';

const BODY_MAX_BYTES = 1024 * 1024;
const ACCOUNT_MAX_BYTES = 64;
const DEVICE_MAX = 0x7fff_ffff;
/** Longest values, in bytes: the protocol's caps with room. */
const IDENTITY_BYTES = 24 * 1024;
const SIGNED_BYTES = 16 * 1024;
const ENTRY_BYTES = 4 * 1024;
const BATCH_ENTRIES = 128;
const SLOT_BYTES = 64 * 1024;

export interface Call {
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  /** The name of this relay that the client dialled, one of its own. */
  readonly audience: string;
}

export interface RouteServices {
  readonly auth: Auth;
  readonly directory: Directory;
  readonly dropBox: DropBox;
  readonly statements: Statements;
  readonly limits: RelayLimits;
  readonly spend: Spend;
}

type Handler = (call: Call) => Promise<unknown>;

export function createRoutes({ auth, directory, dropBox, statements, spend }: RouteServices): ReadonlyMap<string, Handler> {
  const from = (request: IncomingMessage): string => request.socket.remoteAddress ?? '';
  /** Whose token comes with the request; a token shows that the answer to its login has come. */
  const visitor = async (request: IncomingMessage): Promise<Session | undefined> => {
    const found = auth.session(String(request.headers['cyphr-session'] ?? ''));
    if (found !== undefined) await directory.answered(found);
    return found;
  };
  const session = async (request: IncomingMessage): Promise<Session> => {
    const found = await visitor(request);
    if (found === undefined) throw new Refused();
    return found;
  };

  const challenge: Handler = async ({ request, audience }) => {
    await spend.challenge(from(request));
    await visitor(request);
    return { nonce: auth.challenge(address(await json(request)), audience) };
  };

  const login: Handler = async ({ request, audience }) => {
    const who = claim(await json(request));
    return directory.login(who, who.proof.toString('base64url'), (identity, begun) => {
      auth.verify(who, audience, Buffer.from(identity, 'base64url'));
      return auth.open(begun);
    });
  };

  const publish: Handler = async ({ request, audience }) => {
    const body = await json(request);
    const who = claim(body);
    const identity = bytes(body['identity'], IDENTITY_BYTES);
    const proven = auth.verify(who, audience, identity);
    const keys: PublishedKeys = {
      account: who.account,
      device: who.device,
      identity: identity.toString('base64url'),
      signedSet: bytes(body['signedSet'], SIGNED_BYTES).toString('base64url'),
      batch: body['batch'] === undefined ? undefined : batchOf(object(body['batch'])),
    };
    await directory.publish(keys, proven);
    return {};
  };

  const fetch: Handler = async ({ request, query }) => {
    const account = accountOf(query.get('account'));
    const take = takeOf(query.get('take') ?? 'all');
    if (take === 'all' || take.length > 0) await spend.take(`${(await session(request)).mailbox} ${account}`);
    else await spend.read(from(request));
    return { devices: await directory.fetch(account, take) };
  };

  const remaining: Handler = async ({ request }) => ({ remaining: (await directory.stock(await session(request))).remaining });

  const statement: Handler = async ({ request, query }) => {
    await spend.read(from(request));
    const found = await statements(accountOf(query.get('account')));
    return found === undefined ? {} : { statement: found.toString('base64url') };
  };

  const leave: Handler = async ({ request }) => {
    await spend.leave(from(request));
    const { slot, bytes: left } = await json(request);
    if (typeof slot !== 'string') throw new Refused();
    dropBox.leave(slot, bytes(left, SLOT_BYTES));
    return {};
  };

  const pickUp: Handler = async ({ request, query }) => {
    await spend.read(from(request));
    const over = new AbortController();
    const stop = (): void => over.abort();
    request.socket.once('close', stop);
    const found = await dropBox.pickUp(String(query.get('slot')), over.signal).finally(() => request.socket.off('close', stop));
    return found === undefined ? {} : { bytes: found.toString('base64url') };
  };

  return new Map([
    ['POST /v1/challenge', challenge],
    ['POST /v1/login', login],
    ['PUT /v1/keys', publish],
    ['GET /v1/keys', fetch],
    ['GET /v1/remaining', remaining],
    ['GET /v1/statement', statement],
    ['PUT /v1/slots', leave],
    ['GET /v1/slots', pickUp],
  ]);
}

type Fields = Readonly<Record<string, unknown>>;

async function json(request: IncomingMessage): Promise<Fields> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > BODY_MAX_BYTES) throw new Refused();
    chunks.push(chunk as Buffer);
  }
  try {
    return object(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  } catch {
    throw new Refused();
  }
}

function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Refused();
  return value as Fields;
}

function accountOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new Refused();
  const encoded = Buffer.from(value, 'utf8');
  // An unpaired surrogate has no encoding of its own, and would share another name's.
  if (encoded.length > ACCOUNT_MAX_BYTES || encoded.toString('utf8') !== value) throw new Refused();
  return value;
}

function deviceOf(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > DEVICE_MAX) throw new Refused();
  return value as number;
}

function address(body: Fields): Address {
  return { account: accountOf(body['account']), device: deviceOf(body['device']) };
}

function bytes(value: unknown, max: number): Buffer {
  if (typeof value !== 'string' || value.length > Math.ceil((max * 4) / 3)) throw new Refused();
  const decoded = Buffer.from(value, 'base64url');
  if (decoded.length === 0 || decoded.toString('base64url') !== value) throw new Refused();
  return decoded;
}

function claim(body: Fields): Claim {
  return { ...address(body), nonce: bytes(body['nonce'], 32), proof: bytes(body['proof'], SIGNED_BYTES) };
}

function batchOf(batch: Fields): NonNullable<PublishedKeys['batch']> {
  const { id, entries } = batch;
  if (typeof id !== 'string' || !/^[\w-]{1,64}$/.test(id)) throw new Refused();
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > BATCH_ENTRIES) throw new Refused();
  return {
    id,
    head: bytes(batch['head'], SIGNED_BYTES).toString('base64url'),
    entries: entries.map((entry) => bytes(entry, ENTRY_BYTES).toString('base64url')),
  };
}

function takeOf(value: string): 'all' | readonly number[] {
  if (value === 'all') return 'all';
  return value === '' ? [] : value.split(',').map((device) => deviceOf(Number(device)));
}
