/** What the WebSocket adapter needs of a socket; `node.ts` and `platform.ts` provide it, the import `#websocket` chooses. Types only. */

/** Called by the socket. `close` comes exactly once and last, also when the connection was never open. */
export interface SocketEvents {
  open(): void;
  /** One binary message in a buffer that the receiver owns; a text message comes as no bytes at all. */
  message(bytes: Uint8Array): void;
  close(): void;
}

/** An open or opening connection. */
export interface Socket {
  /** Queues one binary message; nothing happens once the socket is closing. */
  send(bytes: Uint8Array): void;
  /** Sends what is queued, then closes; gives up waiting for the other side after a second. */
  close(): void;
}

/** Opens a WebSocket. Never throws for a network failure: that is `close` without `open`. */
export type Dial = (url: string, protocols: readonly string[], events: SocketEvents) => Socket;
