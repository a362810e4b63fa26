/**
 * An account as a stream of bytes, sealed by a key of its own: out of one store, and into another under a new device.
 *
 * Takes the account key, contacts with their pins, and what the application adds. Never sessions, device keys or prekeys: two devices
 * must not have the same. The format is that of src/backup/.
 */

import { encodeEnd, encodeEntry, entryReader } from '../backup/entries.js';
import {
  CHUNK_BYTES,
  chunkCount,
  damaged,
  HEADER_START_BYTES,
  headerRestLength,
  makeHeader,
  type OpenExport,
  openChunk,
  parseHeader,
  SEALED_CHUNK_BYTES,
  sealChunk,
  slotBinding,
} from '../backup/stream.js';
import { concat, copy, encodeUtf8, wipe } from '../bytes.js';
import { isCyphrError, StoreError, TrustError, UsageError } from '../errors.js';
import { compositeKeyPair } from '../identity/account.js';
import { decodeDevice, replaceDevice } from '../identity/index.js';
import { limits } from '../limits.js';
import type { Rng } from '../step.js';
import type { KeySlot, Store, StoreKey, Write } from '../store/port.js';
import { parseDeviceList } from '../wire/objects.js';
import { openClient } from './client.js';
import { openDatabase, storeCall } from './database.js';
import { checkFunction, checkIterable, checkOptions, checkPort, checkWaitOptions } from './options.js';
import { abortReason, clientClock, clientRng } from './platform.js';
import { contactRecord, greetRecord, keys, record, talkRecord } from './records.js';
import { deviceRows, publishedList } from './recovery.js';
import { assertUnsealed } from './registration.js';
import type { Client, ClientOptions, TransferOptions } from './types.js';

const FILE_KEY_BYTES = 32;
const KIND_MAX_BYTES = 64;
/** A sealed file key: what a token or a passphrase makes of 32 bytes, with its parameters. */
const SEALED_KEY_MAX_BYTES = 16 * 1024;
const PAGE = 64;

/** `listVersion` is the version of the newest device list that was known here. */
const accountEntry = record('export-account', { account: 'string', aik: 'bytes', listVersion: 'number' });
/** `contact` is a contact record, `talk` that of the conversation, as they stand in a store. */
const contactEntry = record('export-contact', { account: 'string', contact: 'bytes', talk: 'bytes?' });

/** Options of `exportAccount`. */
export interface ExportOptions extends TransferOptions {
  /** The application's own records, opaque, at most `limits.historyRecordBytes` each: what `importAccount` gives back, in order. */
  readonly history?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> | undefined;
  /** As in `ClientOptions`. */
  readonly rng?: Rng | undefined;
}

/** Options of `importAccount`. */
export interface ImportOptions extends TransferOptions {
  /**
   * Called with each record of the application's, in order, and awaited. Each is authentic, but whether the export is whole shows only
   * at its end: when `importAccount` rejects, forget what it gave.
   */
  readonly history?: ((record: Uint8Array<ArrayBuffer>) => void | Promise<void>) | undefined;
}

function checkTransfer(key: KeySlot, options: TransferOptions): void {
  const kind = typeof key?.kind === 'string' ? encodeUtf8(key.kind) : undefined;
  const isKind = kind !== undefined && kind.length >= 1 && kind.length <= KIND_MAX_BYTES;
  if (!isKind || typeof key.seal !== 'function' || typeof key.open !== 'function') throw notSlot();
  checkWaitOptions(options, ['progress', 'history', 'rng']);
  if (options.progress !== undefined) checkFunction(options.progress, 'progress');
}

function notSlot(): UsageError {
  return new UsageError('ERR_ARGUMENT', 'key must be a key slot', { field: 'key' });
}

/** What a slot gives: bytes, or an error of ours; an abort stays what it is. */
async function slotCall(call: () => Promise<Uint8Array>, signal: AbortSignal | undefined): Promise<Uint8Array> {
  let result: unknown;
  try {
    result = await call();
  } catch (cause) {
    if (isCyphrError(cause) || signal?.aborted === true) throw cause;
    throw new StoreError('ERR_STORE_KEY', 'the slot does not open: wrong key, or cancelled', { field: 'key', cause });
  }
  if (!(result instanceof Uint8Array) || result.length > SEALED_KEY_MAX_BYTES) throw notSlot();
  return result;
}

function assertWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal);
}

/**
 * The account in `store` as a stream of sealed bytes, which only `key` opens: its key, its contacts with pins and verifications, and
 * `options.history`. It is read as the stream is; the store may be in use by a client, also one that is halted, and stays open. Whoever
 * has the bytes and the key is the account: a passphrase must be worth that.
 *
 * The length shows the size of the content, rounded up to 64 KiB and above 128 KiB by up to 12 %. Nothing is compressed.
 *
 * Throws `ERR_ARGUMENT`. The stream fails with `ERR_DEVICE_UNTRUSTED` (a linked device does not have the account key), `ERR_STORE_*` (`ERR_STORE_KEY`: the person cancelled, or `field: 'store'`: it is sealed), `ERR_LENGTH` (`field: 'history'`),
 * what `options.history` throws, or `signal.reason`.
 *
 * @example
 * const backup = exportAccount(store, passphraseSlot(() => askPassphrase()));
 * await backup.pipeTo(Writable.toWeb(createWriteStream('alice.cyphr')));
 */
export function exportAccount(store: Store, key: KeySlot, options: ExportOptions = {}): ReadableStream<Uint8Array<ArrayBuffer>> {
  checkPort('store', store);
  checkTransfer(key, options);
  const { signal, progress } = options;
  const rng = clientRng(options.rng);
  const { history: given } = options;
  if (given !== undefined) checkIterable(given, 'history');
  const history = given && (Symbol.asyncIterator in given ? given[Symbol.asyncIterator]() : given[Symbol.iterator]());
  const next = entries(store, history);
  let opened: OpenExport | undefined;
  let content: Uint8Array = new Uint8Array(0);
  let contentBytes = 0;
  let chunks = 0;
  let doneBytes = 0;
  /** How many chunks there will be, once the end of the content was seen. */
  let total: number | undefined;

  const begin = async (): Promise<Uint8Array> => {
    const fileKey = rng(FILE_KEY_BYTES);
    try {
      const sealedKey = await slotCall(() => key.seal(fileKey, slotBinding(key.kind), { signal }), signal);
      const { header, ...rest } = makeHeader({ kind: key.kind, sealedKey, prefix: rng(19) }, fileKey);
      opened = rest;
      return header;
    } finally {
      wipe(fileKey);
    }
  };
  /** The next chunk. There is always one more byte of content than it takes, unless it is the last. */
  const chunk = async (): Promise<Uint8Array> => {
    while (total === undefined && content.length <= CHUNK_BYTES) {
      const entry = await next();
      const added = entry ?? encodeEnd();
      const before = content;
      content = concat(content, added);
      contentBytes += added.length;
      wipe(before, added);
      if (entry === undefined) total = chunkCount(contentBytes);
    }
    const plain = new Uint8Array(CHUNK_BYTES);
    plain.set(content.subarray(0, CHUNK_BYTES));
    const before = content;
    content = content.slice(CHUNK_BYTES);
    const sealed = sealChunk(opened!, chunks, chunks + 1 === total, plain);
    chunks += 1;
    wipe(before, plain);
    return sealed;
  };
  const stop = async (): Promise<void> => {
    wipe(content, ...(opened === undefined ? [] : [opened.key]));
    await history?.return?.();
  };

  return new ReadableStream(
    {
      async pull(controller) {
        try {
          assertWanted(signal);
          const bytes = opened === undefined ? await begin() : await chunk();
          assertWanted(signal);
          doneBytes += bytes.length;
          controller.enqueue(copy(bytes));
          progress?.(doneBytes, undefined);
          if (chunks !== total) return;
          controller.close();
          await stop();
        } catch (error) {
          await stop().catch(() => {});
          throw error;
        }
      },
      cancel: stop,
    },
    { highWaterMark: 0 },
  );
}

/** Gives the entries of an export one after another; `undefined` at the end. */
function entries(
  store: Store,
  history: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | undefined,
): () => Promise<Uint8Array | undefined> {
  let phase: 'account' | 'contacts' | 'history' = 'account';
  let after: StoreKey | undefined;
  let page: { readonly key: StoreKey; readonly value: Uint8Array }[] = [];

  const account = async (): Promise<Uint8Array> => {
    const [row] = await storeCall(() => store.read([keys.device]));
    if (row === undefined) {
      await storeCall(() => assertUnsealed(store));
      throw new StoreError('ERR_STORE_CORRUPT', 'the store holds no account');
    }
    const { account: name, accountKey, deviceList } = decodeDevice(row.value);
    const { secretKey } = accountKey;
    if (secretKey === undefined) {
      throw new TrustError('ERR_DEVICE_UNTRUSTED', 'this device does not have the account key: export the account where it was made');
    }
    const bytes = accountEntry.encode({ account: name, aik: secretKey, listVersion: parseDeviceList(deviceList).version });
    const entry = encodeEntry('account', bytes);
    wipe(row.value, bytes, secretKey);
    return entry;
  };
  const contact = async (): Promise<Uint8Array | undefined> => {
    if (page.length === 0) {
      page = await storeCall(() => (after === undefined ? store.list(['contact'], PAGE) : store.list(['contact'], PAGE, after)));
      after = page.at(-1)?.key;
    }
    const row = page.shift();
    if (row === undefined) return undefined;
    const account = row.key[1]!;
    const [talk] = await storeCall(() => store.read([keys.talk(account)]));
    return encodeEntry('contact', contactEntry.encode({ account, contact: row.value, talk: talk?.value }));
  };
  const ofApplication = async (): Promise<Uint8Array | undefined> => {
    const result = await history?.next();
    if (result === undefined || result.done === true) return undefined;
    const { value } = result;
    if (!(value instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'history must give Uint8Arrays', { field: 'history' });
    if (value.length > limits.historyRecordBytes) {
      const numbers = { field: 'history', got: value.length, max: limits.historyRecordBytes };
      throw new UsageError('ERR_LENGTH', 'a record of the history is too long', numbers);
    }
    return encodeEntry('history', value);
  };
  return async () => {
    if (phase === 'account') {
      phase = 'contacts';
      return account();
    }
    const found = phase === 'contacts' ? await contact() : undefined;
    if (found !== undefined) return found;
    phase = 'history';
    return ofApplication();
  };
}

/**
 * Opens the account of an export on this device: a new device takes the place of all devices of the account, linked ones included, to
 * which contacts then write no longer: erase and link those again that are still wanted. For an empty store; nothing is written to it
 * before the last byte of `backup` was found authentic, but an empty sealed store is founded at once, with its slot and head, and stays
 * founded when the import fails. Needs the directory. On rejection the store is left open: try again with the same object if it is still
 * empty, else `createClient`, or close it. Messages that were queued or not shown where the export was made are not in it.
 *
 * Throws `ERR_STORE_KEY` (another key, or a damaged sealed key; `field: 'store'`: the base of a sealed store), `ERR_STORE_CORRUPT` (damaged, cut off, put together from others),
 * `ERR_STORE_VERSION` (of a newer version), `ERR_ARGUMENT` (`account`: the export is another account's; `store`: it is not empty),
 * `ERR_ACCOUNT_EXISTS` (the directory has another identity for the account), what `createClient`, `options.history` and the stream
 * itself throw, or `signal.reason`.
 *
 * @example
 * const client = await importAccount({ account: 'alice', store, ...relay('wss://relay.example') }, file.stream(), passphraseSlot(() => askPassphrase()));
 */
export function importAccount(
  options: ClientOptions,
  backup: ReadableStream<Uint8Array>,
  key: KeySlot,
  transfer: ImportOptions = {},
): Promise<Client> {
  return importWith(options, backup, key, transfer, clientRng);
}

/** `importAccount` with the way its generator is made. */
export async function importWith(
  options: ClientOptions,
  backup: ReadableStream<Uint8Array>,
  key: KeySlot,
  transfer: ImportOptions,
  makeRng: (given: Rng | undefined) => Rng,
): Promise<Client> {
  checkOptions(options);
  checkTransfer(key, transfer);
  if (typeof backup?.getReader !== 'function') throw new UsageError('ERR_ARGUMENT', 'backup must be a ReadableStream', { field: 'backup' });
  if (transfer.history !== undefined) checkFunction(transfer.history, 'history');
  const rng = makeRng(options.rng);
  const now = clientClock(options.now);
  const [meta, device] = await storeCall(() => options.store.read([keys.meta, keys.device]));
  if (meta !== undefined || device !== undefined) throw new UsageError('ERR_ARGUMENT', 'the store is not empty', { field: 'store' });
  await storeCall(() => assertUnsealed(options.store));

  const found = await readExport(backup, key, options.account, transfer);
  const { account, aik, listVersion } = found.account;
  try {
    const accountKey = compositeKeyPair(aik);
    const published = await publishedList({ account, accountKey }, options.directory);
    const made = replaceDevice({ account, accountKey }, [], Math.max(listVersion, published?.version ?? 0), rng, now());
    const db = await openDatabase(options.store, { rng, now, renew: true, onCommit: () => {}, onLost: () => {} });
    try {
      const writes: Write[] = deviceRows(made, rng, now());
      for (const [name, { contact, talk }] of found.contacts) {
        writes.push({ key: keys.contact(name), value: contact });
        if (talk !== undefined) writes.push({ key: keys.talk(name), value: talk });
        writes.push({ key: keys.greet(name), value: greetRecord.encode({ isStarted: false, hellos: [] }) });
      }
      await db.commit(writes.map((write, i) => (i === 0 ? { ...write, ifRev: 0 } : write)));
    } finally {
      await db.close();
    }
  } finally {
    wipe(aik);
  }
  return openClient(options, () => rng);
}

interface Found {
  readonly account: ReturnType<typeof accountEntry.decode>;
  readonly contacts: ReadonlyMap<string, { readonly contact: Uint8Array; readonly talk?: Uint8Array | undefined }>;
}

/** Reads an export of `owner` to its end, and gives the application its records on the way. The caller wipes the account key. */
async function readExport(
  backup: ReadableStream<Uint8Array>,
  key: KeySlot,
  owner: string,
  { signal, progress, history }: ImportOptions,
): Promise<Found> {
  const source = backup.getReader();
  const onAbort = (): void => void source.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', onAbort, { once: true });
  let held: Uint8Array = new Uint8Array(0);
  let doneBytes = 0;
  let opened: OpenExport | undefined;
  let account: Found['account'] | undefined;
  /** Until `length` bytes are there, or the stream ends. */
  const fill = async (length: number): Promise<void> => {
    while (held.length < length) {
      assertWanted(signal);
      const { done, value } = await source.read();
      assertWanted(signal);
      if (done) return;
      if (!(value instanceof Uint8Array)) throw new UsageError('ERR_ARGUMENT', 'backup must give Uint8Arrays', { field: 'backup' });
      held = concat(held, value);
      doneBytes += value.length;
      progress?.(doneBytes, undefined);
    }
  };
  const take = async (length: number): Promise<Uint8Array> => {
    await fill(length);
    if (held.length < length) throw damaged();
    const taken = held.slice(0, length);
    // A view: a source that gives all at once is not copied for each chunk.
    held = held.subarray(length);
    return taken;
  };
  try {
    const header = parseHeader(await take(headerRestLength(await take(HEADER_START_BYTES))));
    if (header.kind !== key.kind) {
      throw new StoreError('ERR_STORE_KEY', 'the export was sealed by another kind of key slot', { field: 'key' });
    }
    const fileKey = await slotCall(() => key.open(header.sealedKey, slotBinding(header.kind), { signal }), signal);
    try {
      if (fileKey.length !== FILE_KEY_BYTES) throw damaged();
      opened = header.open(fileKey);
    } finally {
      wipe(fileKey);
    }
    const reader = entryReader();
    const contacts = new Map<string, { contact: Uint8Array; talk?: Uint8Array | undefined }>();
    for (let index = 0, isLast = false; !isLast; index++) {
      const sealed = await take(SEALED_CHUNK_BYTES);
      await fill(1);
      isLast = held.length === 0;
      const content = openChunk(opened, index, isLast, sealed);
      for (const { type, bytes } of reader.push(content)) {
        if (type === 'account') {
          account = accountEntry.decode(bytes);
          // It is the first entry: nothing of another account reaches the application.
          if (account.account !== owner) throw new UsageError('ERR_ARGUMENT', 'the export is of another account', { field: 'account' });
        }
        if (type === 'contact') {
          const { account: name, ...rows } = contactEntry.decode(bytes);
          contactRecord.decode(rows.contact);
          if (rows.talk !== undefined) talkRecord.decode(rows.talk);
          contacts.set(name, rows);
        }
        if (type === 'history') await history?.(bytes as Uint8Array<ArrayBuffer>);
      }
      wipe(content);
    }
    reader.finish();
    return { account: account!, contacts };
  } catch (error) {
    if (account !== undefined) wipe(account.aik);
    await source.cancel(error).catch(() => {});
    throw error;
  } finally {
    if (opened !== undefined) wipe(opened.key);
    signal?.removeEventListener('abort', onAbort);
    source.releaseLock();
  }
}
