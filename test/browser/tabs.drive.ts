import assert from 'node:assert/strict';
import type { Stage } from './run.js';
import type { Tab } from './session.js';

type TabsPage = typeof import('./tabs.page.js');

export default async function drive({ browser, start, test, note, server, relayUrl }: Stage): Promise<void> {
  const session = await start();
  let accounts = 0;

  /** An account in so many tabs, of which the first to open leads, and somebody whom it writes to. */
  async function open(count: number): Promise<{ alice: string; bob: string; tabs: Tab<TabsPage>[]; peer: Tab<TabsPage> }> {
    const [alice, bob] = [`alice-${browser}-${++accounts}`, `bob-${browser}-${accounts}`];
    const peer = await session.open<TabsPage>('tabs');
    await peer.call('open', relayUrl, bob, 'peer');
    const tabs: Tab<TabsPage>[] = [];
    for (let i = 0; i < count; i++) tabs.push(await session.open<TabsPage>('tabs'));
    const devices = await Promise.all(tabs.map((tab, i) => tab.call('open', relayUrl, alice, `tab ${i}`)));
    assert.equal(new Set(devices).size, 1, 'all tabs are one device');
    return { alice, bob, tabs, peer };
  }
  async function leaderOf(tabs: readonly Tab<TabsPage>[], alice: string): Promise<Tab<TabsPage>> {
    const leading = await Promise.all(tabs.map((tab) => tab.call('leads', alice)));
    assert.equal(leading.filter(Boolean).length, 1, 'one tab leads');
    return tabs[leading.indexOf(true)]!;
  }
  /** Waits for a moment in which a tab can be frozen: one that holds a transaction would keep all others waiting, for a minute in Chromium. */
  const resting = (tab: Tab<TabsPage>): Promise<unknown> =>
    tab.page.waitForFunction(() => (globalThis as unknown as { page: TabsPage }).page.rests(), { polling: 100 });
  const closeAll = (tabs: readonly Tab<TabsPage>[]): Promise<unknown> => Promise.all(tabs.map((tab) => tab.close()));
  /** What was promised arrived, and nothing arrived twice. */
  function assertOnce(promised: readonly string[], shown: readonly string[]): void {
    const all = new Set(shown);
    assert.deepEqual(
      promised.filter((text) => !all.has(text)),
      [],
      'messages that were promised and are lost',
    );
    assert.equal(all.size, shown.length, 'a message was shown twice');
  }

  for (const count of [2, 5]) {
    await test(`T25: ${count} tabs send at once; each promise holds, once, and all hear of it`, async () => {
      const { alice, bob, tabs, peer } = await open(count);
      const topic = `tabs-${browser}-${count}`;
      await Promise.all(tabs.map((tab) => tab.call('hear', `${topic}-events`)));
      const texts = tabs.flatMap((_, i) => Array.from({ length: 10 }, (__, j) => [i, `${i} ${j}`] as const));
      await Promise.all(texts.map(([i, text]) => tabs[i]!.call('send', bob, text)));
      await tabs[0]!.call('send', bob, 'end');
      assertOnce([...texts.map(([, text]) => text), 'end'], await peer.call('readUntil', 'end'));
      // Each event once in each tab.
      await server.reported(`${topic}-events`, 1);
      const wanted = count * (texts.length + 1);
      const accepted = (): string[] => server.reports(`${topic}-events`).filter((each) => each.endsWith(' accepted'));
      while (accepted().length < wanted) await server.reported(`${topic}-events`, server.reports(`${topic}-events`).length + 1);
      assert.equal(new Set(accepted()).size, wanted);
      // Messages have one reader; the others wait their turn.
      for (const tab of tabs) await tab.call('readOn', topic);
      for (let i = 0; i < 10; i++) await peer.call('send', alice, `answer ${i}`);
      await server.reported(`${topic}-acked`, 10);
      assert.equal(server.reports(`${topic}-shown`).length, 10);
      await closeAll([...tabs, peer]);
    });

    await test(`T25: of ${count} tabs that write and read without a pause the leading one is killed, time and again`, async () => {
      const { alice, bob, tabs, peer } = await open(count);
      const topic = `kill-${browser}-${count}`;
      // Without an answer a session is good for 200 messages only.
      await tabs[0]!.call('send', bob, 'hello');
      await peer.call('readUntil', 'hello');
      await peer.call('send', alice, 'hello');
      await tabs[0]!.call('readUntil', 'hello');
      for (const [i, tab] of tabs.entries()) {
        await tab.call('flood', topic, bob, `tab ${i}`);
        await tab.call('readOn', topic);
      }
      await peer.call('flood', `${topic}-peer`, alice, 'peer');
      const living = [...tabs];
      while (living.length > 1) {
        const before = server.reports(`${topic}-sent`).length;
        await server.reported(`${topic}-sent`, before + 5 * living.length);
        const leader = await leaderOf(living, alice);
        living.splice(living.indexOf(leader), 1);
        await leader.close();
      }
      const [last] = living;
      const acked = server.reports(`${topic}-acked`).length;
      await server.reported(`${topic}-acked`, acked + 5);
      await peer.close();
      await last!.close();
      // Both again, each in one tab: what was promised arrives.
      const [one, other] = [await session.open<TabsPage>('tabs'), await session.open<TabsPage>('tabs')];
      await one.call('open', relayUrl, alice, 'last');
      await other.call('open', relayUrl, bob, 'peer');
      await one.call('send', bob, 'end');
      await other.call('send', alice, 'end');
      assertOnce(server.reports(`${topic}-sent`), await other.call('readUntil', 'end'));
      const [shown, done] = [server.reports(`${topic}-shown`), server.reports(`${topic}-acked`)];
      const after = await one.call('readUntil', 'end');
      const all = new Set([...shown, ...after]);
      assert.deepEqual(
        server.reports(`${topic}-peer-sent`).filter((text) => !all.has(text)),
        [],
        'messages that were promised and are lost',
      );
      assert.deepEqual(
        done.filter((text) => after.includes(text)),
        [],
        'messages that were shown after their acknowledgement',
      );
      note(
        `${server.reports(`${topic}-sent`).length} sent, ${done.length} read and acknowledged, while ${count - 1} leading tabs were killed`,
      );
      await closeAll([one, other]);
    });
  }

  for (const eraser of [0, 2]) {
    await test(`an account erased in tab ${eraser} of three ends in all of them, and nothing is left`, async () => {
      const { alice, bob, tabs, peer } = await open(3);
      await tabs[1]!.call('send', bob, 'x');
      const { recordCount, keyCount } = await tabs[eraser]!.call('erase');
      assert.ok(recordCount > keyCount && keyCount > 0, `${keyCount} keys of ${recordCount} records`);
      for (const tab of tabs) assert.equal(await tab.call('closed'), 'closed');
      assert.ok(!(await peer.call('databases')).includes(`cyphr:${alice}`));
      await closeAll([...tabs, peer]);
    });
  }

  // Firefox has no command that freezes a tab.
  if (browser === 'firefox') return;

  await test('T25: a frozen leader is superseded, and works through the new one when it thaws', async () => {
    const { alice, bob, tabs, peer } = await open(2);
    const frozen = await leaderOf(tabs, alice);
    const other = tabs.find((tab) => tab !== frozen)!;
    const topic = `frozen-${browser}`;
    await frozen.call('hear', topic);
    await frozen.call('send', bob, 'one');
    await resting(frozen);
    const cdp = await frozen.page.createCDPSession();
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    await other.call('send', bob, 'two');
    assert.ok(await other.call('leads', alice));
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await frozen.call('send', bob, 'three');
    await other.call('send', bob, 'four');
    assert.ok(await other.call('leads', alice));
    assert.deepEqual(await peer.call('readUntil', 'four'), ['one', 'two', 'three', 'four']);
    assert.deepEqual(
      server.reports(topic).filter((each) => each.endsWith('halted')),
      [],
    );
    await closeAll([...tabs, peer]);
  });

  await test('a frozen tab that reads gives way to the one that waits, and shows nothing again when it thaws', async () => {
    const { alice, tabs, peer } = await open(2);
    const leader = await leaderOf(tabs, alice);
    const frozen = tabs.find((tab) => tab !== leader)!;
    const [here, there] = [`reading-frozen-${browser}`, `reading-${browser}`];
    await frozen.call('readOn', here);
    await peer.call('send', alice, 'one');
    await server.reported(`${here}-acked`, 1);
    await leader.call('readOn', there);
    await resting(frozen);
    const cdp = await frozen.page.createCDPSession();
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    await peer.call('send', alice, 'two');
    await server.reported(`${there}-acked`, 1);
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await peer.call('send', alice, 'three');
    await server.reported(`${there}-acked`, 2);
    assert.deepEqual(server.reports(`${here}-shown`), ['one']);
    assert.deepEqual(server.reports(`${there}-shown`), ['two', 'three']);
    // The reader is closed: the one that was frozen has the place again.
    await leader.close();
    await peer.call('send', alice, 'four');
    await server.reported(`${here}-acked`, 2);
    assert.deepEqual(server.reports(`${here}-shown`), ['one', 'four']);
    await closeAll([frozen, peer]);
  });
}
