/**
 * What a decrypted message says. It is authentic, so its key is used up whatever is in it: nothing that a peer can write here is thrown,
 * what can't be read is said to be, and costs the rest nothing.
 */

import { toHex } from '../bytes.js';
import { DecodeError, type ErrorCode, isCyphrError } from '../errors.js';
import { type Plaintext, parsePlaintext, saysControl } from '../wire/plaintext.js';
import { decodeContent, decodeHello, type Hello } from './content.js';
import { type Control, decodeControl } from './control.js';

/** A plaintext, as far as this version can read it. */
export interface Opened {
  readonly messageId: string;
  readonly lists: Pick<Plaintext, 'ownListVersion' | 'ownListHash' | 'peerListVersion'>;
  readonly hello: Hello | undefined;
  /** Content for the application. */
  readonly payload: Uint8Array | undefined;
  readonly control: Control | undefined;
}

/** `opened` is none for what is no plaintext at all; `unreadable`: why content that was a person's can't be read. */
export interface Reading {
  readonly opened: Opened | undefined;
  readonly unreadable: ErrorCode | undefined;
}

/** Reads a decrypted plaintext. `onFault` hears of each part that can't be read; `ERR_BUG` would be a fault of ours. */
export function readPlaintext(bytes: Uint8Array, onFault: (code: ErrorCode) => void): Reading {
  const attempt = <T>(read: () => T): { readonly value?: T; readonly code?: ErrorCode } => {
    try {
      return { value: read() };
    } catch (error) {
      const code = isCyphrError(error) ? error.code : 'ERR_BUG';
      onFault(code);
      return { code };
    }
  };
  const { value: plaintext, code } = attempt(() => {
    const parsed = parsePlaintext(bytes);
    if (parsed === undefined) throw new DecodeError('ERR_VERSION', 'plaintext of an unknown kind');
    return parsed;
  });
  // What devices say to each other is no person's.
  if (plaintext === undefined) return { opened: undefined, unreadable: saysControl(bytes) ? undefined : code };
  const isControl = plaintext.kind === 'control';
  const { value: hello } = isControl ? attempt(() => decodeHello(plaintext.payload)) : {};
  const said = isControl ? hello?.app : plaintext.payload;
  const content = said === undefined ? {} : attempt(() => decodeContent(said));
  const told = !isControl ? undefined : hello === undefined ? plaintext.payload : hello.control;
  const { value: control } = told === undefined ? {} : attempt(() => decodeControl(told));
  // A copy holds what a person has said.
  const copied = control?.t === 'copy' ? attempt(() => decodeContent(control.app)) : {};
  return {
    opened: {
      messageId: toHex(plaintext.messageId),
      lists: plaintext,
      hello,
      payload: content.code === undefined ? said : undefined,
      control: copied.code === undefined ? control : undefined,
    },
    unreadable: content.code ?? copied.code,
  };
}
