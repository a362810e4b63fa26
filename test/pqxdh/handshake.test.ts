import { describe, expect, test } from 'vitest';
import { equal } from '../../src/bytes.js';
import { accept } from '../../src/pqxdh/handshake.js';
import { handshake, makeParty, NOW } from './world.js';

const alice = makeParty('alice');
const bob = makeParty('bob');

describe('agreement', () => {
  test.each([undefined, 0, 99])('both sides have the same secrets; unit %s', (unit) => {
    const started = handshake(alice, bob, unit);
    const { next, out } = accept(bob.prekeys, bob.device, started.init, NOW);
    expect(next.seen.size).toBe(1);
    for (const name of ['rootKey', 'headerKeyA', 'nextHeaderKeyB', 'sckaSecret', 'transcriptHash'] as const) {
      expect(equal(started.secrets[name], out.secrets[name])).toBe(true);
    }
  });
});
