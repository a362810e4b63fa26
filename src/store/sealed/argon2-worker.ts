/** The worker that derives one key from one passphrase: a module of its own, so that it runs from a file of the page's own origin. */

import { wipe } from '../../bytes.js';
import { argon2 } from '../../crypto/passphrase.js';
import type { Answer, Question } from './argon2.js';
import { nodeThreads } from './threads.js';

/** Node's port or the worker's own scope: both have these two. */
interface Port {
  onmessage: ((event: { readonly data: Question }) => void) | null;
  postMessage(answer: Answer, transfer?: readonly ArrayBuffer[]): void;
}

const port = (nodeThreads()?.parentPort ?? globalThis) as unknown as Port;

port.onmessage = ({ data: { passphrase, salt, cost } }) => {
  const key = argon2(passphrase, salt, cost, (progress) => port.postMessage({ progress }));
  wipe(passphrase);
  port.postMessage({ key });
  wipe(key);
};
