import assert from 'node:assert/strict';
import { seededRng } from '../../src/testing/rng.js';
import type { Stage } from './run.js';
import type { Tab } from './session.js';

type StorePage = typeof import('./store.page.js');

const seed = process.env['CYPHR_SEED'] ?? String(Date.now());
const MESSAGES = 10_000;

export default async function drive({ browser, start, test, note, server }: Stage): Promise<void> {
  const session = await start();
  let tab: Tab<StorePage> = await session.open('store');

  for (const [index, name] of (await tab.call('caseNames')).entries()) {
    await test(name, () => tab.call('runCase', index));
  }

  await test('a deleted database is no empty store, and a newer layout is refused', async () => {
    assert.equal(await tab.call('deleteUnder', 'deleted'), 'ERR_STORE_CORRUPT');
    assert.equal(await tab.call('newerLayout', 'newer'), 'ERR_STORE_VERSION');
  });

  for (const name of ['many', 'sealed-many']) {
    await test(`${MESSAGES} messages in the store '${name}' are listed in order after opening anew, and erased`, async () => {
      const storeMs = await tab.call('storeMessages', name, MESSAGES);
      await tab.reload();
      const { openMs, listMs, numbers } = await tab.call('listMessages', name);
      assert.deepEqual(
        numbers,
        Array.from({ length: MESSAGES }, (_, i) => i),
      );
      note(
        `${MESSAGES} messages: stored in ${storeMs.toFixed(0)} ms, opened in ${openMs.toFixed(0)} ms, listed in ${listMs.toFixed(0)} ms`,
      );
      const { recordCount } = await tab.call('erase', name);
      assert.ok(recordCount >= MESSAGES, `${recordCount} records erased`);
      assert.ok(!(await tab.call('databases')).includes(`cyphr:${name}`));
    });
  }

  await test('a store whose origin was cleared does not come back empty', async () => {
    const { before, after, databases } = await tab.call('clearUnder', 'cleared');
    assert.deepEqual(before, ['ok', 'ok', 'ok']);
    assert.deepEqual(after.slice(0, 2), ['ERR_STORE_CORRUPT', 'ERR_STORE_CORRUPT']);
    assert.deepEqual(databases, []);
  });

  /** Runs a storm until a number of commits have been reported, ends it with `end`, and looks at what it left. */
  async function storm(topic: string, count: number, end: () => Promise<void>): Promise<void> {
    const stormy = await session.open<StorePage>('store');
    await stormy.call('storm', topic, topic);
    await server.reported(topic, count);
    await end();
    const told = server.reports(topic).map(Number);
    tab = await session.open<StorePage>('store');
    const { left, right, isRevFresh } = await tab.call('survey', topic);
    assert.deepEqual(left, right, 'half a commit');
    assert.deepEqual(
      told.filter((i) => !left.includes(i)),
      [],
      'commits that resolved and are lost',
    );
    assert.ok(isRevFresh, 'a rev was given out twice');
    note(`${told.length} commits were told, ${left.length} were there`);
  }

  const rng = seededRng(`browser kill ${seed}`);
  for (const name of ['one', 'two', 'sealed']) {
    const count = 10 + rng(1)[0]! / 2;
    await test(`T26: loses no resolved commit, and halves none, when its tab is closed: ${name} (CYPHR_SEED=${seed})`, () =>
      storm(`${name}-close-${browser}`, count, async () => {
        for (const page of await session.browser().pages()) if (page !== tab.page) await page.close();
      }));
    await test(`T26: loses no resolved commit, and halves none, when its browser is killed: ${name} (CYPHR_SEED=${seed})`, () =>
      storm(`${name}-kill-${browser}`, count, () => session.kill()));
  }

  // A new browser: Chromium goes by the space that it last counted for half a minute.
  const small = await start();
  let page: Tab<StorePage> = await small.open('store');
  let setQuota = async (bytes: number | undefined): Promise<void> => {
    await small.restart(bytes === undefined ? {} : { 'dom.quotaManager.temporaryStorage.fixedLimit': bytes / 1024 });
    page = await small.open('store');
  };
  if (browser === 'chromium') {
    const cdp = await page.page.createCDPSession();
    setQuota = async (bytes) => {
      await cdp.send('Storage.overrideQuotaForOrigin', { origin: server.origin, ...(bytes === undefined ? {} : { quotaSize: bytes }) });
    };
  }
  await test('beyond the quota a commit rejects with ERR_STORE_FULL; later ones hold, nothing is lost', async () => {
    const megabyte = 1024 * 1024;
    await setQuota(12 * megabyte);
    const full = await page.call('fill', 'full', 'rows', 40, megabyte);
    assert.equal(full.code, 'ERR_STORE_FULL');
    const still = await page.call('fill', 'full', 'rows', 40, megabyte);
    assert.equal(still.code, 'ERR_STORE_FULL');
    assert.ok(full.held.length >= 3);
    await setQuota(undefined);
    const after = await page.call('fill', 'full', 'rows', 20, megabyte);
    assert.equal(after.code, undefined);
    assert.deepEqual(
      after.held,
      Array.from({ length: still.held.length + 20 }, (_, i) => i),
    );
    note(`full after ${full.held.length} MiB, ${after.held.length} MiB once it was not`);
  });

  // Chromium has neither as a preference: its incognito windows store as others do, until they are closed.
  if (browser === 'chromium') return;

  await test('a private window has a store, which goes with it', async () => {
    await small.restart({ 'browser.privatebrowsing.autostart': true });
    page = await small.open('store');
    assert.deepEqual(await page.call('codes', 'private'), ['ok', 'ok', 'ok']);
    await small.restart();
    page = await small.open('store');
    assert.ok(!(await page.call('databases')).includes('cyphr:private'));
  });

  await test('forbidden storage is ERR_STORE_IO', async () => {
    await small.restart({ 'network.cookie.cookieBehavior': 2 });
    page = await small.open('store');
    assert.deepEqual(await page.call('codes', 'forbidden'), ['ERR_STORE_IO', 'ERR_STORE_IO', 'ERR_STORE_IO']);
  });
}
