/** The SDK in a process of its own: `ask(op, fields)` is one line there and one line back, with one number; a refusal throws with its `code`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ascii, hex, unhex } from './bytes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Starts one of the SDK's files of this folder with arguments, on its portable primitives. */
export const startSdk = (file, ...args) => start('tsconfig.json', file, args);
/** The same on the platform's primitives, which tests and examples map in. */
export const startNativeSdk = (file, ...args) => start('examples/tsconfig.json', file, args);

function start(tsconfig, file, args) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], {
    cwd: ROOT,
    env: { ...process.env, TSX_TSCONFIG_PATH: tsconfig },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = new Map();
  let last = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, code, ...answer } = JSON.parse(line);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (code === undefined) resolve(answer);
    else reject(Object.assign(new Error(code), { code }));
  });
  child.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the SDK’s process has ended'));
  });
  const ask = (op, fields = {}) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      child.stdin.write(`${JSON.stringify({ ...fields, id: last, op })}\n`);
    });
  return { ask, stop: () => child.stdin.end() };
}

/** A bundle as it goes over the line, and back. */
export const bundleToHex = ({ account, device, identity, signedSet, oneTime }) => ({
  ...{ account: account.toString('utf8'), device, identity: hex(identity), signedSet: hex(signedSet) },
  ...(oneTime && { batch: hex(oneTime.batch), entry: hex(oneTime.entry) }),
});
export const bundleFromHex = ({ account, device, identity, signedSet, batch, entry }) => ({
  ...{ account: ascii(account), device, identity: unhex(identity), signedSet: unhex(signedSet) },
  oneTime: batch && { batch: unhex(batch), entry: unhex(entry) },
});
