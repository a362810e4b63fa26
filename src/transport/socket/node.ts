/** The socket of Node, Bun and Deno, by `ws`. */

import { WebSocket } from 'ws';
import type { Dial } from './port.js';

/** Largest message that is taken off the wire at all: a frame of 256 KiB with its head, and room. */
const MAX_PAYLOAD_BYTES = 512 * 1024;
const HANDSHAKE_MS = 15_000;
const CLOSE_MS = 1_000;

/** Opens a WebSocket without compression and without following redirects. */
export const dial: Dial = (url, protocols, events) => {
  const socket = new WebSocket(url, [...protocols], {
    maxPayload: MAX_PAYLOAD_BYTES,
    perMessageDeflate: false,
    followRedirects: false,
    handshakeTimeout: HANDSHAKE_MS,
  });
  socket.on('open', () => events.open());
  socket.on('message', (data, isBinary) => events.message(isBinary ? new Uint8Array(data as Buffer) : new Uint8Array()));
  socket.on('error', () => {
    // 'close' follows and is what counts; without a listener the error would end the process.
  });
  socket.on('close', () => events.close());
  return {
    send: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
    },
    close: () => {
      socket.close();
      setTimeout(() => socket.terminate(), CLOSE_MS).unref();
    },
  };
};
