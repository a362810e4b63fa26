// Runs in each runtime, inside the installed package's dist/: which backend the package chose, which operations that takes from the
// platform, and where its randomness comes from.
import { createClient } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';
import { backend } from '#backend';
import { backend as noble } from './crypto/backend/noble.js';

/** Names of the operations that differ from noble’s. */
function operations(chosen, reference, prefix = '') {
  return Object.keys(reference).flatMap((name) => {
    if (typeof reference[name] === 'object') return operations(chosen[name], reference[name], `${name}.`);
    return chosen[name] === reference[name] ? [] : [prefix + name];
  });
}

/** Every client asks the platform’s generator; where there is none it refuses to open, as the application has brought none either. */
async function checkRandomness() {
  const open = () => createClient({ account: 'alice', store: memoryStore(), ...memoryNetwork() });
  const { crypto } = globalThis;
  const setCrypto = (value) => Object.defineProperty(globalThis, 'crypto', { value, configurable: true, writable: true });
  const draws = [];
  try {
    setCrypto({
      getRandomValues(target) {
        draws.push(String(crypto.getRandomValues(target)));
        return target;
      },
    });
    const clients = [await open(), await open()];
    await Promise.all(clients.map((client) => client.close()));
    setCrypto(undefined);
    const refusal = await open().catch(({ code, field }) => `${code} ${field}`);
    if (refusal !== 'ERR_ARGUMENT rng') throw new Error(`without a generator: ${refusal}`);
  } finally {
    setCrypto(crypto);
  }
  if (draws.length < 2 || new Set(draws).size !== draws.length) throw new Error('two clients have not drawn differently from the platform');
}

/** Resolves to the names of the platform’s operations. Rejects where randomness is not what it must be. */
export async function probe() {
  await checkRandomness();
  return operations(backend, noble);
}
