import { describe, expect, it } from 'vitest';
import { addEpoch, startChains } from '../../src/ratchet/scka.js';

const bug = (got: number): unknown => expect.objectContaining({ code: 'ERR_BUG', got });
const secret = new Uint8Array(32).fill(1);

describe('an epoch that was agreed on', () => {
  const chains = startChains('initiator', new Uint8Array(32).fill(2));

  it('follows the one before in both directions', () => {
    const { sending, receiving } = addEpoch(chains, 'initiator', { epoch: 1, secret });
    for (const chain of [sending, receiving]) expect(chain).toMatchObject({ epoch: 0, nextChainKey: expect.any(Uint8Array) });
    expect(addEpoch(chains, 'initiator', null)).toBe(chains);
  });

  it('is a bug where it comes again, leaves one out, or follows in one direction only', () => {
    const agreed = addEpoch(chains, 'initiator', { epoch: 1, secret });
    for (const epoch of [0, 1, 2]) expect(() => addEpoch(agreed, 'initiator', { epoch, secret })).toThrow(bug(epoch));
    for (const epoch of [0, 2]) expect(() => addEpoch(chains, 'initiator', { epoch, secret })).toThrow(bug(epoch));
    for (const ahead of [{ sending: agreed.sending }, { receiving: agreed.receiving }]) {
      expect(() => addEpoch({ ...chains, ...ahead }, 'initiator', { epoch: 1, secret })).toThrow(bug(1));
    }
  });
});
