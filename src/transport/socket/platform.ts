/** The socket of browsers, workers and React Native: the platform's own `WebSocket`. */

import type { Dial } from './port.js';

/** Opens the platform's WebSocket. Throws nothing for a network failure; the platform bounds message sizes and closing times itself. */
export const dial: Dial = (url, protocols, events) => {
  const socket = new WebSocket(url, [...protocols]);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => events.open();
  socket.onmessage = ({ data }) => events.message(typeof data === 'string' ? new Uint8Array() : new Uint8Array(data as ArrayBuffer));
  socket.onclose = () => events.close();
  return {
    send: (bytes) => {
      if (socket.readyState === 1) socket.send(bytes as Uint8Array<ArrayBuffer>);
    },
    close: () => socket.close(),
  };
};
