import assert from 'node:assert/strict';
import type { Stage } from './run.js';
import type { Tab } from './session.js';

type ClientPage = typeof import('./client.page.js');

/** What each peer and the hub have said to each other when the page is loaded again: round trips, and who has an answer in flight. */
const PHASES = [
  { rounds: 0, inFlight: ['hub'] },
  { rounds: 0, inFlight: ['peer'] },
  { rounds: 0, inFlight: ['peer', 'hub'] },
  { rounds: 1, inFlight: [] },
  { rounds: 1, inFlight: ['hub'] },
  { rounds: 2, inFlight: ['peer'] },
  { rounds: 4, inFlight: ['hub', 'peer'] },
  { rounds: 8, inFlight: ['hub', 'hub', 'hub'] },
  { rounds: 15, inFlight: [] },
  { rounds: 24, inFlight: ['peer', 'hub'] },
] as const;

export default async function drive({ browser, start, test, note, server, relayUrl }: Stage): Promise<void> {
  const session = await start();
  const openTab = (): Promise<Tab<ClientPage>> => session.open('client');
  let tab = await openTab();
  const hub = `hub-${browser}`;
  const peers = PHASES.map((_, i) => `peer-${i}-${browser}`);
  const accounts = [hub, ...peers];

  await test('README’s first conversation', async () => {
    assert.deepEqual(await tab.call('quickStart'), ['alice', 'Hello, Bob!']);
  });

  await test('ten conversations go on after the page was loaded anew, and no row has changed meanwhile', async () => {
    const firstMs = await tab.call('start', relayUrl, accounts);
    /** What is in flight, by recipient. */
    const expected = new Map<string, string[]>(accounts.map((account) => [account, []]));
    for (const [i, { rounds }] of PHASES.entries()) await tab.call('roundTrips', hub, peers[i]!, rounds, 'before');
    for (const [i, { inFlight }] of PHASES.entries()) {
      for (const [j, who] of inFlight.entries()) {
        const [from, to] = who === 'hub' ? [hub, peers[i]!] : [peers[i]!, hub];
        await tab.call('send', from, to, `in flight ${j}`);
        expected.get(to)!.push(`${from}: in flight ${j}`);
      }
    }
    await tab.call('stop');
    const before = await tab.call('fingerprints');
    await tab.reload();
    assert.deepEqual(await tab.call('fingerprints'), before);
    const againMs = await tab.call('start', relayUrl, accounts);
    for (const account of accounts) {
      const shown = await tab.call('receive', account, expected.get(account)!.length);
      assert.deepEqual(shown.sort(), expected.get(account)!.sort());
    }
    for (const peer of peers) await tab.call('roundTrips', hub, peer, 2, 'after');
    assert.deepEqual(new Set(await tab.call('states')), new Set(['online']));
    await tab.call('stop');
    note(`${accounts.length} clients registered in ${firstMs.toFixed(0)} ms, opened again in ${againMs.toFixed(0)} ms`);
  });

  const flooding = peers.slice(0, 3);
  const pairs = flooding.flatMap((peer) => [[hub, peer] as const, [peer, hub] as const]);
  /** Lets four clients write and read until much was acknowledged, ends them with `end`, and sees what they owe each other. */
  async function flood(topic: string, end: () => Promise<void>): Promise<void> {
    await tab.call('start', relayUrl, [hub, ...flooding]);
    await tab.call('flood', topic, pairs);
    await server.reported(`${topic}-acked`, 40);
    await end();
    const [sent, shownBefore, acked] = ['sent', 'shown', 'acked'].map((what) => server.reports(`${topic}-${what}`));
    await tab.call('start', relayUrl, [hub, ...flooding]);
    for (const [from, to] of pairs) await tab.call('send', from, to, 'the end');
    const shownAfter = await tab.call('receiveUntil', hub, flooding, 'the end');
    for (const peer of flooding) shownAfter.push(...(await tab.call('receiveUntil', peer, [hub], 'the end')));
    await tab.call('stop');
    const shown = new Set([...shownBefore!, ...shownAfter]);
    assert.deepEqual(
      sent!.filter((each) => !shown.has(each)),
      [],
      'messages that were promised and are lost',
    );
    assert.deepEqual(
      acked!.filter((each) => shownAfter.includes(each)),
      [],
      'messages that were shown again',
    );
    assert.equal(new Set(shownAfter).size, shownAfter.length, 'a message was shown twice');
    note(`${sent!.length} messages promised, ${acked!.length} acknowledged before the end, ${shownAfter.length} shown after it`);
  }
  await test('T26: no message is lost or shown again when the page is loaded anew without warning', () =>
    flood(`reload-${browser}`, () => tab.reload()));
  await test('T26: no message is lost or shown again when the browser is killed', () =>
    flood(`kill-${browser}`, async () => {
      await session.kill();
      tab = await openTab();
    }));
}
