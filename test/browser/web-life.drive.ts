/** What happens to an account of the chat page over time: more tabs, a changed identity, a restored device, a passkey, a lost passphrase. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Page } from 'puppeteer-core';
import type { Stage } from './run.js';
import { isAccessible } from './web-checks.js';
import type { Person } from './web-person.js';
import { openSite } from './web-site.js';

/** Makes a relay's directory, which isn't running, forget an account: what a dishonest one does to put another in its place. */
async function forgetAccount(data: string, account: string): Promise<void> {
  const db = new ClassicLevel(join(data, 'directory'));
  const keys = (await db.keys().all()).filter((key) => key.split('/')[1] === account);
  assert.ok(keys.length > 0);
  await db.batch(keys.map((key) => ({ type: 'del', key })));
  await db.close();
}

/** Copies an IndexedDB database over another, as a backup of a browser's profile would. Both are closed. */
function copyDatabase(page: Page, from: string, to: string): Promise<void> {
  return page.evaluate(
    async (source, target) => {
      const done = <T>(request: IDBRequest<T>): Promise<T> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      const input = await done(indexedDB.open(source));
      await done(indexedDB.deleteDatabase(target));
      const opening = indexedDB.open(target, input.version);
      opening.onupgradeneeded = () => {
        for (const name of input.objectStoreNames) opening.result.createObjectStore(name);
      };
      const output = await done(opening);
      for (const name of input.objectStoreNames) {
        const [keys, values] = await Promise.all([
          done(input.transaction(name).objectStore(name).getAllKeys()),
          done(input.transaction(name).objectStore(name).getAll()),
        ]);
        const written = output.transaction(name, 'readwrite').objectStore(name);
        await Promise.all(keys.map((key, i) => done(written.put(values[i], key))));
      }
      input.close();
      output.close();
    },
    from,
    to,
  );
}

const isOpen = (who: Person): Promise<void> => who.until(`document.querySelector('#app').checkVisibility()`);

export default async function drive(stage: Stage): Promise<void> {
  const { test, browser } = stage;
  const site = await openSite(stage);
  const alice = await site.person();
  const bob = await site.person();

  await test('a conversation to begin with', async () => {
    await alice.register('alice');
    await bob.register('bob');
    await alice.begin('bob');
    await alice.say('Hello.');
    await bob.click('.person');
    await bob.sees('Hello.');
    await bob.say('Hello to you.');
    await alice.sees('Hello to you.');
  });

  await test('two tabs of one account are one person', async () => {
    const second = await site.person(alice.context);
    await second.unlock();
    await isOpen(second);
    await second.click('.person');
    await second.sees('Hello to you.');
    await isAccessible(second.page);
    await second.say('From the second tab.');
    await bob.sees('From the second tab.');
    await alice.sees('From the second tab.');
    await second.isMarked('accepted');
    await bob.say('To both tabs.');
    await alice.sees('To both tabs.');
    await second.sees('To both tabs.');
    // The first one led; the other takes over.
    await alice.reload();
    await bob.say('To the one that is left.');
    await second.sees('To the one that is left.');
    await second.say('Still here.');
    await bob.sees('Still here.');
    assert.deepEqual(second.errors, []);
    await second.page.close();
    await alice.unlock();
    await isOpen(alice);
    await alice.click('.person');
    await alice.sees('Still here.');
  });

  await test('a device that was restored from a backup stops, and is set up again', async () => {
    await alice.reload();
    await copyDatabase(alice.page, 'cyphr:alice', 'backup');
    await alice.unlock();
    await isOpen(alice);
    await alice.click('.person');
    await alice.say('After the backup.');
    await alice.isMarked('accepted');
    await bob.sees('After the backup.');
    // The relay learns how far a device is when it logs in.
    await alice.reload();
    await alice.unlock();
    await alice.until(`document.querySelector('#connection').dataset.state === 'online'`);
    await alice.reload();
    await copyDatabase(alice.page, 'backup', 'cyphr:alice');
    await alice.unlock();
    await isOpen(alice);
    await alice.until(`document.querySelector('#halted').checkVisibility()`);
    assert.match(await alice.text('#halted'), /restored or copied/);
    await isAccessible(alice.page);
    await alice.click('#recover');
    await alice.until(`document.querySelector('#connection').dataset.state === 'online'`);
    assert.equal(await alice.page.$eval('#halted', (element) => element.checkVisibility()), false);
    await alice.click('.person');
    await alice.sees('After the backup.');
    await alice.say('From a new device.');
    await bob.sees('From a new device.');
    await bob.say('Good to see you.');
    await alice.sees('Good to see you.');
  });

  if (browser === 'chromium') {
    // Only Chromium lends its driver an authenticator.
    await test('a passkey opens the account too', async () => {
      const devTools = await alice.page.createCDPSession();
      await devTools.send('WebAuthn.enable');
      await devTools.send('WebAuthn.addVirtualAuthenticator', {
        options: {
          protocol: 'ctap2',
          ctap2Version: 'ctap2_1',
          transport: 'internal',
          hasResidentKey: true,
          hasUserVerification: true,
          isUserVerified: true,
          automaticPresenceSimulation: true,
          hasPrf: true,
        },
      });
      await alice.click('#device-open');
      await alice.click('#add-passkey');
      await alice.until(`document.querySelector('#toast').textContent.includes('passkey')`);
      await Promise.all([alice.page.waitForNavigation(), alice.click('#lock')]);
      await alice.click('#passkey');
      await isOpen(alice);
      await alice.click('.person');
      await alice.sees('Good to see you.');
    });
  }

  await test('a changed identity is shown, and nothing is sent until a person decides', async () => {
    await bob.page.close();
    await site.stopRelay();
    await forgetAccount(site.data, 'bob');
    await site.startRelay();
    const other = await site.person();
    await other.register('bob');
    await other.begin('alice');
    await other.say('It is me, bob.');
    await alice.until(`document.querySelector('#changed').checkVisibility()`);
    assert.equal(await alice.text('#changed-title'), 'The identity of bob has changed');
    await alice.say('Are you bob?');
    await alice.isMarked('held');
    assert.equal(await alice.page.$eval('#lines', (lines) => lines.textContent?.includes('It is me')), false);
    await isAccessible(alice.page);
    await alice.click('#changed-accept');
    await alice.sees('It is me, bob.');
    await other.sees('Are you bob?');
    await alice.isMarked('accepted');
    await alice.until(`document.querySelector('#trust').dataset.trust === 'unverified'`);
    await other.page.close();
  });

  await test('no page broke its policy, and none has complained', async () => {
    assert.deepEqual(await alice.violations(), []);
    for (const who of [alice, bob]) assert.deepEqual(who.errors, []);
  });

  await test('a name that is taken founds nothing here', async () => {
    const thief = await site.person();
    await thief.fill('#name', 'alice');
    await thief.fill('#passphrase', 'another passphrase');
    await thief.fill('#again', 'another passphrase');
    await thief.press('Enter');
    await thief.until(`document.querySelector('#gate-error').textContent.startsWith('This name is taken')`);
    assert.deepEqual(await thief.page.evaluate(() => indexedDB.databases()), []);
    await thief.page.close();
  });

  await test('a browser that has evicted an account founds no empty one in its place', async () => {
    const carol = await site.person();
    await carol.register('carol');
    await carol.reload();
    await carol.page.evaluate(
      () => new Promise((resolve) => Object.assign(indexedDB.deleteDatabase('cyphr:carol'), { onsuccess: resolve })),
    );
    await carol.unlock();
    await carol.until(`document.querySelector('#gate-error').textContent.startsWith('This browser holds nothing')`);
    await carol.until(`document.querySelector('#name').checkVisibility()`);
    assert.deepEqual(await carol.page.evaluate(() => indexedDB.databases()), []);
    await carol.page.close();
  });

  await test('who has forgotten the passphrase can erase, and nothing else', async () => {
    await alice.reload();
    await alice.click('#gate-forgot');
    await alice.until(`document.querySelector('#confirm').open`);
    await alice.press('Escape');
    await alice.until(`!document.querySelector('#confirm').open`);
    await alice.click('#gate-forgot');
    await alice.click('#confirm-yes');
    await alice.until(`document.querySelector('#name').checkVisibility()`);
    const left = await alice.page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name));
    assert.deepEqual(left, ['backup']);
  });

  await site.close();
}
