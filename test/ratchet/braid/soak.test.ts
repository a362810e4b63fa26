import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { sessionRecord } from '../../../src/client/records.js';
import type { Message } from '../../../src/client/types.js';
import { braid } from '../../../src/ratchet/braid/machine.js';
import type * as keysModule from '../../../src/ratchet/keys.js';
import { decodeCore } from '../../../src/ratchet/ratchet.js';
import type { Profile } from '../../../src/step.js';
import { memoryNetwork } from '../../../src/transport/memory.js';
import { commonEpoch, expectProgress, soakBraid } from '../../helpers/braid-soak.js';
import { below, PATTERNS, type Pattern } from '../../helpers/conversation.js';
import { codeOf } from '../../helpers/expect-code.js';
import { type Person, person, START } from '../../helpers/people.js';
import { testRng } from '../../helpers/rng.js';
import { session, text } from '../../helpers/sessions.js';

vi.mock('../../../src/ratchet/keys.js', async (original) =>
  (await import('../../helpers/key-uses.js')).recordKeyUses(await original<typeof keysModule>()),
);

// 20,000 messages of each: `npm run soak`.
describe('T22: epochs of the braid go on', () => {
  const count = (pattern: Pattern, profile: Profile): number => {
    if (pattern === 'silences') return profile === 1 ? 3000 : 1600;
    return pattern === '9:1' && profile === 2 ? 1500 : 500;
  };
  for (const pattern of PATTERNS) {
    it.each([1, 2, 3] as const)(`${pattern}, profile %i`, (profile) => {
      expectProgress(profile, pattern, soakBraid(profile, pattern, count(pattern, profile)));
    });
  }
});

describe('sessions do not touch each other', () => {
  const SESSIONS = 50;
  const MESSAGES = 40;

  /** One session with a generator of its own, whose n-th message a caller asks for. Its last frames are kept. */
  function conversation(number: number) {
    const rng = testRng(`session ${number}`);
    const { alice, bob } = session(braid, rng, ((number % 3) + 1) as Profile);
    const parties = [alice, bob] as const;
    const hash = createHash('sha256');
    let sent = 0;
    const next = (): Uint8Array => {
      const from = sent === 0 ? 0 : below(rng, 2);
      const frame = parties[from]!.send(text(`${number} ${sent}`));
      expect(parties[1 - from]!.receive(frame)).toEqual(text(`${number} ${sent++}`));
      hash.update(frame);
      return frame;
    };
    return { parties, next, digest: () => hash.digest('hex') };
  }

  it('fifty in turn give byte for byte what each gives alone, and none reads a message of another', () => {
    const alone = Array.from({ length: SESSIONS }, (_, number) => {
      const each = conversation(number);
      for (let i = 0; i < MESSAGES; i++) each.next();
      return each.digest();
    });

    const rng = testRng('turns');
    const all = Array.from({ length: SESSIONS }, (_, number) => ({ ...conversation(number), left: MESSAGES }));
    for (let open = all; open.length > 0; open = all.filter(({ left }) => left > 0)) {
      const each = open[below(rng, open.length)]!;
      const frame = each.next();
      each.left--;
      const stranger = all[below(rng, SESSIONS)]!;
      if (stranger !== each) {
        for (const party of stranger.parties) expect(codeOf(() => party.receive(frame))).toBeOneOf(['ERR_NO_SESSION', 'ERR_DECODE']);
      }
    }
    expect(all.map(({ digest }) => digest())).toEqual(alone);
    expect(Math.max(...all.map(({ parties }) => commonEpoch(parties)))).toBeGreaterThan(2);
  });

  it('one client with nineteen peers: every message is read by whom it is for, and each session has epochs of its own', async () => {
    const ROUNDS = 10;
    const network = memoryNetwork();
    const clock = { ms: START };
    const hub = await person('hub', network, clock);
    const peers: Person[] = [];
    for (let i = 0; i < 19; i++) peers.push(await person(`peer${i}`, network, clock));

    for (let round = 0; round < ROUNDS; round++) {
      for (const { client, account } of peers) await (await client.send('hub', `${round} from ${account}`)).until('accepted');
      const got: Message[] = [];
      while (got.length < peers.length) got.push(await hub.read());
      expect(got.map((message) => `${message.from.account}: ${message.text}`).sort()).toEqual(
        peers.map(({ account }) => `${account}: ${round} from ${account}`).sort(),
      );
      for (const { account } of peers) await (await hub.client.send(account, `${round} to ${account}`)).until('accepted');
      for (const peer of peers) expect((await peer.read()).text).toBe(`${round} to ${peer.account}`);
    }

    const ratchets = [...hub.store.rows()].flatMap(([key, value]) =>
      key.startsWith('["session"') ? [decodeCore(sessionRecord.decode(value).core, [])] : [],
    );
    expect(ratchets).toHaveLength(19);
    expect(new Set(ratchets.map(({ pq }) => Buffer.from(pq.root).toString('hex'))).size).toBe(19);
    // Twenty messages in turn: at 192-byte chunks that is past the first epoch.
    for (const { pq } of ratchets) expect(pq.sending.epoch).toBeGreaterThanOrEqual(1);
    await Promise.all([hub, ...peers].map(({ client }) => client.close()));
  });
});
