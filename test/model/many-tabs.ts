import fc from 'fast-check';
import { expect, vi } from 'vitest';
import type { Client, Sent } from '../../src/client/types.js';
import { isCyphrError } from '../../src/errors.js';
import { glassNetwork } from '../helpers/glass-network.js';
import { keysUsedTwice } from '../helpers/key-watch.js';
import { type Origin, origin, type Tab } from '../helpers/origin.js';
import { type Person, person, START } from '../helpers/people.js';

/** What happens next, to which tab, and how many turns of the event loop pass then. */
interface Step {
  readonly does: 'open' | 'send' | 'receive' | 'close' | 'kill' | 'die in a commit' | 'freeze' | 'thaw';
  readonly at: number;
  readonly turns: number;
}

/** A message that a tab was told to send, and what it has said of it. */
interface Outgoing {
  readonly text: string;
  readonly tab: Tab;
  state: 'unsaid' | 'promised' | 'refused' | 'unknown';
}

interface OpenTab {
  readonly tab: Tab;
  readonly opened: Promise<Person>;
  person: Person | undefined;
  isClosing: boolean;
  /** Texts that were acknowledged anywhere while this tab stood still: one that it was given before may still be shown once. */
  missed: Set<string>;
}

/** What the application of all tabs has in its database. */
interface World {
  readonly at: Origin;
  readonly tabs: OpenTab[];
  readonly outgoing: Outgoing[];
  readonly incoming: string[];
  readonly shown: Set<string>;
  readonly acked: Set<string>;
  readonly faults: string[];
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Shows and acknowledges whatever comes, until the tab ends. */
async function readOn(world: World, { tab, missed }: OpenTab, client: Client): Promise<void> {
  for await (const message of client.messages()) {
    const { text } = message;
    if (tab.isDead()) return;
    if (world.acked.has(text) && !missed.delete(text)) world.faults.push(`${text} was shown after it was acknowledged`);
    world.shown.add(text);
    await message.ack();
    if (tab.isDead()) return;
    world.acked.add(text);
    for (const each of world.tabs) if (each.tab.isFrozen()) each.missed.add(text);
  }
}

/** Some tabs of one account that send, read, close, die, freeze and thaw at any time, and somebody who writes to them. */
export async function manyTabs(runs: { numRuns: number; steps: number; tabs: number; seed: number }): Promise<void> {
  const step = fc.record({
    does: fc.constantFrom(
      ...(['open', 'send', 'send', 'send', 'send', 'receive', 'receive', 'close', 'kill', 'die in a commit', 'freeze', 'thaw'] as const),
    ),
    at: fc.nat(1_000),
    turns: fc.nat(30),
  });
  let lives = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: runs.steps, size: 'max' }), async (steps) => {
      const seed = `${runs.seed} ${lives++}`;
      const clock = { ms: START };
      const network = glassNetwork();
      const world: World = { at: origin(), tabs: [], outgoing: [], incoming: [], shown: new Set(), acked: new Set(), faults: [] };
      const bob = await person('bob', network, clock, { seed: `bob ${seed}` });
      const open = (): OpenTab => {
        const tab = world.at.tab();
        const opened = person('alice', tab.network(network), clock, {
          store: tab.store as never,
          seed: `alice ${seed} ${world.tabs.length}`,
        });
        const entry: OpenTab = { tab, opened, person: undefined, isClosing: false, missed: new Set() };
        world.tabs.push(entry);
        opened.then(
          (found) => {
            entry.person = found;
            readOn(world, entry, found.client).catch((error: unknown) => world.faults.push(`a loop ended: ${String(error)}`));
          },
          (error: unknown) => world.faults.push(`a tab did not open: ${String(error)}`),
        );
        return entry;
      };
      const send = ({ tab, person: sender }: OpenTab): Promise<Sent> | undefined => {
        const text = `a${world.outgoing.length}`;
        const message: Outgoing = { text, tab, state: 'unsaid' };
        world.outgoing.push(message);
        const sending = sender?.client.send('bob', text);
        sending?.then(
          () => {
            message.state = 'promised';
          },
          (error: unknown) => {
            // One code says that nothing happened; the other, that the leading tab was silent to the last.
            const code = isCyphrError(error) ? error.code : undefined;
            if (code !== 'ERR_CLOSED' && code !== 'ERR_STORE_IO') world.faults.push(`${text}: ${String(error)}`);
            message.state = code === 'ERR_CLOSED' ? 'refused' : 'unknown';
          },
        );
        return sending;
      };
      const run = async ({ does, at }: Step): Promise<void> => {
        clock.ms += 1_000;
        const living = world.tabs.filter(({ tab, isClosing }) => !tab.isDead() && !isClosing);
        if (does === 'open' ? living.length < runs.tabs : living.length === 0) return void open();
        const chosen = living[at % living.length]!;
        const { tab } = chosen;
        if (does === 'send' && chosen.person !== undefined) send(chosen);
        if (does === 'receive') {
          world.incoming.push(`b${world.incoming.length}`);
          await bob.client.send('alice', world.incoming.at(-1)!);
        }
        if (does === 'close' && chosen.person !== undefined) {
          chosen.isClosing = true;
          void chosen.person.client.close();
        }
        if (does === 'kill') tab.kill();
        if (does === 'die in a commit') tab.killAtCommit(1 + (at % 3), at % 2 === 0 ? 'before' : 'after');
        if (does === 'freeze') tab.freeze();
        if (does === 'thaw') for (const each of world.tabs) each.tab.thaw();
      };
      await (await open().opened.then(({ client }) => client.send('bob', 'hello'))).until('accepted');
      for (const each of steps) {
        await run(each);
        await turns(each.turns);
      }

      // Everything thaws; one more tab is there to the end.
      for (const { tab } of world.tabs) tab.thaw();
      const last = open();
      await last.opened;
      await (await send(last)!).until('accepted');
      const unsettled = (): string[] =>
        world.outgoing.flatMap(({ text, state, tab }) => (state === 'unsaid' && !tab.isDead() ? [text] : []));
      await vi.waitFor(() => expect([unsettled(), world.incoming.filter((text) => !world.shown.has(text))]).toEqual([[], []]), 20_000);
      const end = await last.person!.client.send('bob', 'end');
      const texts: string[] = [];
      while (texts.at(-1) !== 'end') texts.push((await bob.read()).text);
      await end.until('accepted');
      await vi.waitFor(
        () => expect([...world.at.inner.rows().keys()].filter((key) => /^\["(outbox|pending|inbox)"/.test(key))).toEqual([]),
        20_000,
      );

      const told = new Set(texts);
      expect(world.faults).toEqual([]);
      expect(new Set(texts).size).toBe(texts.length);
      for (const { text, state } of world.outgoing) {
        if (state === 'promised') expect(told, `${text} was promised`).toContain(text);
        if (state === 'refused') expect(told, `${text} was refused`).not.toContain(text);
      }
      expect([...world.shown].sort()).toEqual([...world.incoming].sort());
      for (const { person: one } of world.tabs) {
        const accepted = one?.events.flatMap((event) => (event.type === 'sent' && event.state === 'accepted' ? [event.id] : [])) ?? [];
        expect(new Set(accepted).size).toBe(accepted.length);
      }
      expect(keysUsedTwice(network.sent)).toEqual([]);
      const living = world.tabs.filter(({ tab }) => !tab.isDead());
      await Promise.all([bob, ...living.flatMap(({ person: one }) => one ?? [])].map(({ client }) => client.close()));
      expect([world.at.listening(), world.at.waiting()]).toEqual([0, 0]);
    }),
    { numRuns: runs.numRuns, seed: runs.seed, endOnFailure: true },
  );
}
