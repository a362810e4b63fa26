import { describe, test } from 'vitest';
import { directoryConformance } from '../../src/testing/directory-conformance.js';
import { transportConformance } from '../../src/testing/transport-conformance.js';
import { memoryNetwork } from '../../src/transport/memory.js';
import { withRetry } from '../../src/transport/retry.js';
import { severable } from '../support/severable.js';

describe('memoryNetwork: transport', () => {
  const network = memoryNetwork();
  for (const { name, run } of transportConformance({ connect: network.transport })) test(name, run);
});

describe('memoryNetwork: transport that duplicates and reorders', () => {
  const network = memoryNetwork({ seed: 'conformance', duplicate: 0.2, reorder: 0.3, delayMs: 1 });
  for (const { name, run } of transportConformance({ connect: network.transport })) test(name, run);
});

describe('a transport whose network fails', () => {
  const network = severable(memoryNetwork());
  for (const { name, run } of transportConformance({ connect: network.transport, sever: network.sever })) test(name, run);
});

describe('withRetry over a transport', () => {
  const network = memoryNetwork();
  for (const { name, run } of transportConformance({ connect: (login) => withRetry(network.transport(login)) })) test(name, run);
});

describe('a directory with statements', () => {
  const network = memoryNetwork();
  const statements = new Map<string, Uint8Array>();
  const suite = directoryConformance({
    open: (login) => ({
      ...network.directory(login),
      async statement(account, { signal } = {}) {
        signal?.throwIfAborted();
        const found = statements.get(account);
        return found && new Uint8Array(found);
      },
    }),
    vouch: async (account, statement) => void statements.set(account, statement),
  });
  for (const { name, run } of suite) test(name, run);
});

describe('memoryNetwork: directory', () => {
  const network = memoryNetwork();
  for (const { name, run } of directoryConformance({ open: network.directory })) test(name, run);
});
