import assert from 'node:assert/strict';
import type { Stage } from './run.js';
import type { Tab } from './session.js';

type SharedPage = typeof import('./shared.page.js');

export default async function drive({ browser, start, test, server }: Stage): Promise<void> {
  const session = await start();
  const openTab = (): Promise<Tab<SharedPage>> => session.open('shared');
  /** A topic of reports that nothing else has used. */
  let topics = 0;
  const newTopic = (): string => `shared-${browser}-${topics++}`;
  const closeAll = (tabs: readonly Tab<SharedPage>[]): Promise<unknown> => Promise.all(tabs.map((tab) => tab.close()));

  for (const count of [2, 5]) {
    await test(`of ${count} tabs one leads; when it is closed the next one does, until the last`, async () => {
      const tabs = await Promise.all(Array.from({ length: count }, openTab));
      const granted = await Promise.all(tabs.map((tab) => tab.call('lead', 'if-free')));
      assert.equal(granted.filter(Boolean).length, 1);
      let leader = granted.indexOf(true);
      const waiting = new Set(tabs.keys());
      waiting.delete(leader);
      const topic = newTopic();
      for (const i of waiting) await tabs[i]!.call('waitToLead', topic, String(i));
      for (let turn = 1; waiting.size > 0; turn++) {
        assert.equal(server.reports(topic).length, turn - 1);
        await tabs[leader]!.close();
        await server.reported(topic, turn);
        leader = Number(server.reports(topic)[turn - 1]);
        assert.ok(waiting.delete(leader), `tab ${leader} was granted twice`);
        for (const i of waiting) assert.equal(await tabs[i]!.call('lead', 'if-free'), false);
      }
      await tabs[leader]!.close();
    });
  }

  await test('a closed store gives its leadership to the next, and ends what waits', async () => {
    const [one, two, three] = [await openTab(), await openTab(), await openTab()];
    assert.ok(await one.call('lead', 'if-free'));
    const topic = newTopic();
    await two.call('waitToLead', topic, 'two');
    await two.call('close');
    await server.reported(topic, 1);
    assert.deepEqual(server.reports(topic), ['two ERR_CLOSED']);
    await one.call('close');
    assert.ok(await three.call('lead', 'if-free'));
    await one.call('reopen');
    assert.equal(await one.call('lead', 'if-free'), false);
    await closeAll([one, two, three]);
  });

  await test('a stolen leadership is lost, and its late release ends nothing', async () => {
    const [one, two, three] = [await openTab(), await openTab(), await openTab()];
    assert.ok(await one.call('lead', 'if-free'));
    const topic = newTopic();
    await one.call('tellLoss', topic);
    assert.ok(await two.call('lead', 'steal'));
    await server.reported(topic, 1);
    await one.call('release');
    assert.equal(await three.call('lead', 'if-free'), false);
    await closeAll([one, two, three]);
  });

  await test('a message reaches the other tabs, and only those', async () => {
    const tabs = [await openTab(), await openTab(), await openTab()];
    const topic = newTopic();
    for (const [i, tab] of tabs.entries()) await tab.call('join', topic, String(i));
    await tabs[1]!.call('post', 'hello');
    await server.reported(topic, 2);
    await tabs[0]!.call('post', 'again');
    await server.reported(topic, 4);
    assert.deepEqual([...server.reports(topic)].sort(), [
      '0 heard hello 1.2.255',
      '1 heard again 1.2.255',
      '2 heard again 1.2.255',
      '2 heard hello 1.2.255',
    ]);
    await closeAll(tabs);
  });

  await test('erased in one tab, a store fails in the others, and never looks empty', async () => {
    const [one, two] = [await openTab(), await openTab()];
    await one.call('write');
    assert.deepEqual(await two.call('codes'), ['ok', 'ok']);
    assert.deepEqual(await one.call('erase'), { recordCount: 1, keyCount: 1 });
    assert.deepEqual(await two.call('codes'), ['ERR_STORE_CORRUPT', 'ERR_STORE_CORRUPT']);
    assert.ok(!(await one.call('databases')).includes('cyphr:shared'));
    await closeAll([one, two]);
  });

  // Firefox has no command that freezes a tab.
  if (browser === 'firefox') return;

  await test('a frozen tab keeps what it leads until it is stolen, and learns of it when it thaws', async () => {
    const [frozen, thief] = [await openTab(), await openTab()];
    assert.ok(await frozen.call('lead', 'if-free'));
    const topic = newTopic();
    await frozen.call('tellLoss', topic);
    const cdp = await frozen.page.createCDPSession();
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    assert.equal(await thief.call('lead', 'if-free'), false);
    assert.ok(await thief.call('lead', 'steal'));
    assert.deepEqual(server.reports(topic), []);
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await server.reported(topic, 1);
    await closeAll([frozen, thief]);
  });

  await test('a frozen tab holds no erasure up, and finds no store when it thaws', async () => {
    const [frozen, other] = [await openTab(), await openTab()];
    await frozen.call('write');
    const cdp = await frozen.page.createCDPSession();
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    assert.deepEqual(await other.call('erase'), { recordCount: 1, keyCount: 1 });
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    assert.deepEqual(await frozen.call('codes'), ['ERR_STORE_CORRUPT', 'ERR_STORE_CORRUPT']);
    await closeAll([frozen, other]);
  });
}
