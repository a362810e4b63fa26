/**
 * The relay's HTTP half: challenge, login and the directory. Bytes are base64url in JSON.
 *
 * ```
 * POST /v1/challenge       {account, device}  [cyphr-session, if there is one] → {nonce}
 * POST /v1/login           {account, device, nonce, proof}                → {token, lastProofs}
 * PUT  /v1/keys            {account, device, nonce, proof, identity, signedSet, batch?: {id, head, entries}} → {}
 * GET  /v1/keys?account=A&take=all|1,2|  [cyphr-session, unless take is empty] → {devices: [{device, identity, signedSet, oneTime?: {head, entry}}]}
 * GET  /v1/remaining       [cyphr-session]                                → {remaining}
 * GET  /v1/statement?account=A                                             → {statement?}
 * PUT  /v1/slots           {slot, bytes}                                  → {}
 * GET  /v1/slots?slot=S    waits up to 25 s                               → {bytes?}
 * ```
 * `lastProofs` are this device's earlier proofs, oldest first, of which the relay does not know that an answer told of them. They come with
 * the answer to a *successful* login only, not with the challenge: a generation counts a device's commits, and strangers shall not watch
 * that. Hence the further calls of `prove` below, whose results are not sent. Using the token shows that the answer came: with the next
 * challenge at the latest.
 *
 * 429 carries {retryAfterMs}; other 4xx refuse for good and don't say why; 5xx is a relay in trouble. Nothing is retried here, but a
 * session token that the relay has forgotten is renewed once.
 */

import { encodeUtf8 } from '../../bytes.js';
import { TransportError, UsageError } from '../../errors.js';
import { linkLimits } from '../../limits.js';
import type { BundleBytes, DeviceKeys } from '../../step.js';
import { checkLeave, checkSlot } from '../drop-box.js';
import type { Login } from '../port.js';
import { fromBase64Url, toBase64Url } from './base64url.js';

/** One request, from the first byte out to the last byte in. */
const REQUEST_MS = 20_000;
/** 64 devices with one-time prekeys make 2.3 MB. */
const ANSWER_MAX_CHARS = 4 * 1024 * 1024;
const TOKEN_HEADER = 'cyphr-session';

/** Where a relay is: `base` for HTTP without trailing slash, and `audience`, the host that a proof is bound to. */
export interface Place {
  readonly base: string;
  readonly audience: string;
  /** A token for what stands in front of the relay (single sign-on), or `undefined`. */
  readonly bearer: () => Promise<string | undefined>;
}

/** The HTTP half for one device. Every call throws `TransportError`, what `login.prove` throws, or the signal's reason. */
export interface RelayHttp {
  /** Logs in anew; resolves with the session token. */
  login(): Promise<string>;
  /** Logs in again while the session goes on; it stays as it is if that fails. */
  refresh(signal: AbortSignal): Promise<void>;
  publish(keys: DeviceKeys, signal: AbortSignal | undefined): Promise<void>;
  fetch(account: string, take: 'all' | readonly number[], signal: AbortSignal | undefined): Promise<BundleBytes[]>;
  remaining(): Promise<number>;
  statement(account: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined>;
  leave(slot: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void>;
  pickUp(slot: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined>;
}

/** The reason of an aborted signal; some polyfills drop it. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? Object.assign(new Error('aborted'), { name: 'AbortError' });
}

/** Makes the HTTP half for one device. */
export function relayHttp(place: Place, login: Login): RelayHttp {
  const { account, device } = login.address;
  let token: Promise<string> | undefined;
  /** Of the last login whose answer came, and was judged. */
  let arrived: string | undefined;

  async function call(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    {
      body,
      session,
      signal,
      waitMs = REQUEST_MS,
    }: { body?: unknown; session?: string | undefined; signal?: AbortSignal | undefined; waitMs?: number } = {},
  ): Promise<Answer> {
    const bearer = await place.bearer();
    if (signal?.aborted) throw abortReason(signal);
    const controller = new AbortController();
    const stop = () => controller.abort();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, waitMs);
    signal?.addEventListener('abort', stop);
    try {
      const response = await fetch(place.base + path, {
        method,
        redirect: 'error',
        signal: controller.signal,
        headers: {
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
          ...(session !== undefined && { [TOKEN_HEADER]: session }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.status === 200) return parseAnswer(text);
      if (response.status >= 500) throw new TransportError('ERR_OFFLINE', 'relay is in trouble', { got: response.status });
      const retryAfterMs = response.status === 429 ? parseAnswer(text).count('retryAfterMs') : undefined;
      throw new TransportError('ERR_REJECTED', 'relay refused the request', { got: response.status, retryAfterMs });
    } catch (cause) {
      if (signal?.aborted) throw abortReason(signal);
      if (late) throw new TransportError('ERR_TIMEOUT', 'relay did not answer', { max: waitMs });
      throw cause instanceof TransportError ? cause : new TransportError('ERR_OFFLINE', 'relay is not reachable', { cause });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener?.('abort', stop);
    }
  }

  /** A proof over a fresh challenge: what `login` and `publish` send. */
  async function prove(signal?: AbortSignal): Promise<{ readonly account: string; readonly device: number; nonce: string; proof: string }> {
    const nonce = (await call('POST', '/v1/challenge', { body: { account, device }, session: arrived, signal })).bytes('nonce');
    const proof = await login.prove({ audience: place.audience, nonce });
    return { account, device, nonce: toBase64Url(nonce), proof: toBase64Url(proof) };
  }

  async function logIn(signal?: AbortSignal): Promise<string> {
    const body = await prove(signal);
    const answer = await call('POST', '/v1/login', { body, signal });
    // Throws ERR_STORE_ROLLBACK if this device has been further than its store is, or elsewhere.
    for (const lastProof of answer.allBytes('lastProofs')) {
      await login.prove({ audience: place.audience, nonce: fromBase64Url(body.nonce)!, lastProof });
    }
    arrived = answer.text('token');
    return arrived;
  }

  function renew(): Promise<string> {
    const fresh = logIn();
    token = fresh;
    fresh.catch(() => {
      if (token === fresh) token = undefined;
    });
    return fresh;
  }

  async function withSession(request: (session: string) => Promise<Answer>): Promise<Answer> {
    const known = token;
    if (known === undefined) return request(await renew());
    const session = await known;
    try {
      return await request(session);
    } catch (error) {
      if (!(error instanceof TransportError) || error.code !== 'ERR_REJECTED' || error.retryAfterMs !== undefined) throw error;
      return request(await (token === known ? renew() : (token ?? renew())));
    }
  }

  return {
    login: renew,
    async refresh(signal) {
      const fresh = await logIn(signal);
      token = Promise.resolve(fresh);
    },
    async publish(keys, signal) {
      const { identity, signedSet, batch } = keys;
      const encoded = {
        identity: toBase64Url(identity),
        signedSet: toBase64Url(signedSet),
        ...(batch && { batch: { id: batch.id, head: toBase64Url(batch.head), entries: batch.entries.map((entry) => toBase64Url(entry)) } }),
      };
      await call('PUT', '/v1/keys', { body: { ...(await prove(signal)), ...encoded }, signal });
    },
    async fetch(of, take, signal) {
      if (signal?.aborted) throw abortReason(signal);
      const path = `/v1/keys?${queryOf(of)}&take=${take === 'all' ? take : take.join(',')}`;
      const answer =
        take === 'all' || take.length > 0
          ? await withSession((session) => call('GET', path, { session, signal }))
          : await call('GET', path, { signal });
      return answer.list('devices').map((entry) => ({
        address: { account: of, device: entry.count('device') },
        identity: entry.bytes('identity'),
        signedSet: entry.bytes('signedSet'),
        ...(entry.has('oneTime') && {
          oneTime: { head: entry.part('oneTime').bytes('head'), entry: entry.part('oneTime').bytes('entry') },
        }),
      }));
    },
    async remaining() {
      return (await withSession((session) => call('GET', '/v1/remaining', { session }))).count('remaining');
    },
    async statement(of, signal) {
      if (signal?.aborted) throw abortReason(signal);
      const answer = await call('GET', `/v1/statement?${queryOf(of)}`, { signal });
      return answer.has('statement') ? answer.bytes('statement') : undefined;
    },
    async leave(slot, bytes, signal) {
      if (signal?.aborted) throw abortReason(signal);
      checkLeave(slot, bytes);
      await call('PUT', '/v1/slots', { body: { slot, bytes: toBase64Url(bytes) }, signal });
    },
    async pickUp(slot, signal) {
      if (signal?.aborted) throw abortReason(signal);
      checkSlot(slot);
      const answer = await call('GET', `/v1/slots?slot=${slot}`, { signal, waitMs: linkLimits.pollMs + REQUEST_MS });
      return answer.has('bytes') ? answer.bytes('bytes') : undefined;
    },
  };
}

/** In the query, not in the path: an account may be called `..`. Throws `ERR_ARGUMENT`. */
function queryOf(account: string): string {
  if (encodeUtf8(account) === undefined) throw new UsageError('ERR_ARGUMENT', 'account is not valid Unicode', { field: 'account' });
  return `account=${encodeURIComponent(account)}`;
}

/** A JSON object from the relay, read field by field; whatever is missing or of another type makes the relay unusable: `ERR_OFFLINE`. */
interface Answer {
  has(name: string): boolean;
  text(name: string): string;
  count(name: string): number;
  bytes(name: string): Uint8Array<ArrayBuffer>;
  /** A list of bytes; none if it is missing. */
  allBytes(name: string): Uint8Array<ArrayBuffer>[];
  part(name: string): Answer;
  list(name: string): Answer[];
}

function parseAnswer(text: string): Answer {
  if (text.length > ANSWER_MAX_CHARS) throw outOfProtocol('length');
  return answerOf(JSON.parse(text));
}

function answerOf(value: unknown): Answer {
  if (typeof value !== 'object' || value === null) throw outOfProtocol('object');
  const fields = new Map<string, unknown>(Object.entries(value));
  const text = (name: string): string => {
    const field = fields.get(name);
    if (typeof field !== 'string') throw outOfProtocol(name);
    return field;
  };
  const decoded = (field: unknown, name: string): Uint8Array<ArrayBuffer> => {
    const value = typeof field === 'string' ? fromBase64Url(field) : undefined;
    if (value === undefined) throw outOfProtocol(name);
    return value;
  };
  const items = (name: string): unknown[] => {
    const field = fields.get(name);
    if (!Array.isArray(field)) throw outOfProtocol(name);
    return field;
  };
  return {
    has: (name) => fields.has(name),
    text,
    count(name) {
      const field = fields.get(name);
      if (!Number.isSafeInteger(field) || (field as number) < 0) throw outOfProtocol(name);
      return field as number;
    },
    bytes: (name) => decoded(fields.get(name), name),
    allBytes: (name) => (fields.has(name) ? items(name).map((item) => decoded(item, name)) : []),
    part: (name) => answerOf(fields.get(name)),
    list: (name) => items(name).map(answerOf),
  };
}

function outOfProtocol(field: string): TransportError {
  return new TransportError('ERR_OFFLINE', 'answer is not one of a relay', { field });
}
