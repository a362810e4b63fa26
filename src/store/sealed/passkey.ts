/** A key slot for a passkey: WebAuthn's PRF extension, by which an authenticator turns a salt into a secret of its own. */

import { concat, copy, wipe } from '../../bytes.js';
import { UsageError } from '../../errors.js';
import { reader, writer } from '../../wire/codec.js';
import type { KeySlot } from '../port.js';
import { corrupt } from './layout.js';
import { random } from './random.js';
import { BOX_BYTES, openBox, sealBox, withKek } from './raw-key.js';
import { wrongKey } from './slots.js';

const FORMAT = 1;
const SALT_BYTES = 32;
const CHALLENGE_BYTES = 32;
const USER_ID_BYTES = 16;
const PRF_BYTES = 32;
/** ES256, EdDSA, RS256: what authenticators have. The signature is not used. */
const ALGORITHMS = [-7, -8, -257] as const;

/** Which passkey. */
export interface PasskeyOptions {
  /** The domain that the passkey belongs to: the page's, or one above it. */
  readonly rpId: string;
  /** What the authenticator shows a person beside a passkey that is created; default `rpId`. */
  readonly name?: string | undefined;
  /** Use this passkey, which has the PRF extension, instead of creating one. */
  readonly credentialId?: Uint8Array | undefined;
}

/**
 * A slot that opens with a passkey, in a browser that has WebAuthn's PRF extension. Adding it creates a passkey (or uses `credentialId`);
 * the person is verified each time. The slot's bytes hold the passkey's id and a salt of their own.
 *
 * A passkey can be lost with a device or an account elsewhere, and nobody can make it again. So a store is never founded with one
 * (`ERR_ARGUMENT`), and `removeSlot` keeps one slot of another kind. Slots reject with `ERR_STORE_KEY` if the person cancels or the passkey
 * is not there, with the platform's error as `cause`; with `ERR_ARGUMENT` (`field: 'passkey'`) where there are no passkeys, or without PRF:
 * some authenticators tell only after they have created the passkey, which then stays there unused.
 *
 * Throws `ERR_ARGUMENT` for an empty `rpId` or a `credentialId` that is no Uint8Array.
 *
 * @example
 * await store.addSlot(passkeySlot({ rpId: 'chat.example' }));
 */
export function passkeySlot(options: PasskeyOptions): KeySlot {
  const { rpId, name = rpId } = options;
  if (typeof rpId !== 'string' || rpId === '') throw new UsageError('ERR_ARGUMENT', 'rpId must be a domain', { field: 'rpId' });
  if (options.credentialId !== undefined && !(options.credentialId instanceof Uint8Array)) {
    throw new UsageError('ERR_ARGUMENT', 'credentialId must be a Uint8Array', { field: 'credentialId' });
  }
  /** The passkey that was given, created or last used: sealing again takes it, not a new one. */
  let known = options.credentialId && copy(options.credentialId);

  /** Asks the passkey for its secret of `salt`; the caller wipes it. */
  async function evaluate(
    id: Uint8Array<ArrayBuffer>,
    salt: Uint8Array<ArrayBuffer>,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const credential = await ask(signal, (credentials, withSignal) =>
      credentials.get({
        ...withSignal,
        publicKey: {
          challenge: random(CHALLENGE_BYTES),
          rpId,
          allowCredentials: [{ type: 'public-key', id }],
          userVerification: 'required',
          extensions: { prf: { eval: { first: salt } } },
        },
      }),
    );
    const secret = secretOf(credential);
    if (secret === undefined) throw unsupported('this passkey has no PRF extension');
    return secret;
  }

  /** Creates a passkey; its secret of `salt` comes along where the authenticator can do both at once. */
  async function create(salt: Uint8Array<ArrayBuffer>, signal: AbortSignal | undefined): Promise<PublicKeyCredential> {
    const credential = await ask(signal, (credentials, withSignal) =>
      credentials.create({
        ...withSignal,
        publicKey: {
          challenge: random(CHALLENGE_BYTES),
          rp: { id: rpId, name: rpId },
          user: { id: random(USER_ID_BYTES), name, displayName: name },
          pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })),
          authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
          extensions: { prf: { eval: { first: salt } } },
        },
      }),
    );
    if (credential.getClientExtensionResults().prf?.enabled !== true) throw unsupported('this authenticator has no PRF extension');
    return credential;
  }

  return {
    kind: 'passkey',

    async seal(masterKey, ad, { signal } = {}) {
      const salt = random(SALT_BYTES);
      const created = known === undefined ? await create(salt, signal) : undefined;
      const id = created === undefined ? known! : new Uint8Array(created.rawId);
      known = id;
      const secret = secretOf(created) ?? (await evaluate(id, salt, signal));
      const header = writer().u8(FORMAT).bytes(salt).lp16(id).finish();
      const box = withKek(secret, (kek) => sealBox(kek, masterKey, ad, header));
      wipe(secret);
      return concat(header, box);
    },

    async open(sealed, ad, { signal } = {}) {
      const { header, salt, id } = decodeHeader(sealed);
      const secret = await evaluate(id, salt, signal);
      try {
        const masterKey = withKek(secret, (kek) => openBox(kek, sealed.subarray(header.length), ad, header));
        known = id;
        return masterKey;
      } finally {
        wipe(secret);
      }
    },
  };
}

/** Runs one ceremony with the person. */
async function ask(
  signal: AbortSignal | undefined,
  ceremony: (credentials: CredentialsContainer, options: { signal?: AbortSignal }) => Promise<Credential | null>,
): Promise<PublicKeyCredential> {
  const credentials = (globalThis as { navigator?: Navigator }).navigator?.credentials;
  if (typeof credentials?.create !== 'function') throw unsupported('this platform has no passkeys');
  let credential: Credential | null;
  try {
    credential = await ceremony(credentials, signal === undefined ? {} : { signal });
  } catch (cause) {
    throw signal?.aborted ? signal.reason : wrongKey(cause);
  }
  if (credential === null) throw wrongKey();
  return credential as PublicKeyCredential;
}

/** The secret in the answer, 32 bytes; `undefined` if there is none. */
function secretOf(credential: PublicKeyCredential | undefined): Uint8Array | undefined {
  const first = credential?.getClientExtensionResults().prf?.results?.first;
  if (first === undefined) return undefined;
  const secret = ArrayBuffer.isView(first) ? new Uint8Array(first.buffer, first.byteOffset, first.byteLength) : new Uint8Array(first);
  return secret.length === PRF_BYTES ? secret : undefined;
}

/** format u8 ‖ salt 32 ‖ lp16(credential id), authenticated with the box behind it. */
function decodeHeader(sealed: Uint8Array): { header: Uint8Array; salt: Uint8Array<ArrayBuffer>; id: Uint8Array<ArrayBuffer> } {
  try {
    const from = reader(sealed);
    const format = from.u8();
    const salt = copy(from.bytes(SALT_BYTES));
    const id = copy(from.lp16());
    if (format === FORMAT && id.length > 0 && sealed.length === from.offset() + BOX_BYTES) {
      return { header: sealed.slice(0, from.offset()), salt, id };
    }
  } catch (cause) {
    throw corrupt('slot', cause);
  }
  throw corrupt('slot');
}

const unsupported = (message: string): UsageError => new UsageError('ERR_ARGUMENT', message, { field: 'passkey' });
