/** Two people use the chat page of `examples/web`: each has a profile, and what they do goes through what they see. */

import assert from 'node:assert/strict';
import type { Stage } from './run.js';
import { isAccessible } from './web-checks.js';
import { PASSPHRASE } from './web-person.js';
import { openSite } from './web-site.js';

export default async function drive(stage: Stage): Promise<void> {
  const { test, note } = stage;
  const site = await openSite(stage);
  const alice = await site.person();
  const bob = await site.person();

  await test('the server gives the page its policy, and nothing but the page', async () => {
    const index = await fetch(site.url);
    const policy = index.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe|\*|data:|blob:/);
    assert.equal(index.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(index.headers.get('referrer-policy'), 'no-referrer');
    assert.equal(index.headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.doesNotMatch(await index.text(), /<script(?![^>]*src=)|<style|style=|\son\w+=/);
    for (const path of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/..%2fserver.ts',
      '/assets/../../server.ts',
      '/assets/',
      '//etc/passwd',
    ]) {
      assert.equal((await fetch(site.url + path)).status, 404, path);
    }
    assert.equal((await fetch(site.url, { method: 'POST' })).status, 405);
    assert.equal((await fetch(`${site.url}/icon.svg`)).headers.get('content-type'), 'image/svg+xml');
  });

  await test('the first screen is accessible, and says what is missing', async () => {
    await alice.until(`document.activeElement.id === 'name'`);
    await isAccessible(alice.page);
    await alice.press('Enter');
    assert.equal(await alice.text('#gate-error'), 'Choose a name.');
    await alice.fill('#name', 'alice');
    await alice.fill('#passphrase', 'short');
    await alice.press('Enter');
    assert.match(await alice.text('#gate-error'), /at least 12/);
    await isAccessible(alice.page);
    await alice.reload();
  });

  await test('two people register, one of them by keyboard alone', async () => {
    await alice.until(`document.activeElement.id === 'name'`);
    await alice.type('alice');
    await alice.tabTo('passphrase');
    await alice.type(PASSPHRASE);
    await alice.tabTo('again');
    await alice.type(PASSPHRASE);
    await alice.press('Enter');
    await alice.until(`document.activeElement.id === 'begin-name'`);
    await bob.register('bob');
    await alice.until(`document.querySelector('#connection').dataset.state === 'online'`);
    await isAccessible(alice.page);
  });

  await test('a name that nobody has is refused', async () => {
    await alice.fill('#begin-name', 'carol');
    await alice.press('Enter');
    await alice.until(`document.querySelector('#begin-error').textContent !== ''`);
    assert.equal(await alice.text('#begin-error'), 'There is nobody here called carol.');
    await alice.page.evaluate(() => document.querySelector<HTMLInputElement>('#begin-name')?.select());
  });

  await test('they chat, and text stays text', async () => {
    await alice.type('bob');
    await alice.press('Enter');
    await alice.until(`document.activeElement.id === 'text'`);
    const markup = '<img src=x onerror="document.title=1">&amp;';
    await alice.type(markup);
    await alice.press('Enter');
    await bob.until(`document.querySelector('.person .count')`);
    assert.match(await bob.text('.person'), /alice/);
    await isAccessible(bob.page);
    await bob.click('.person');
    await bob.sees(markup);
    await bob.until(`!document.querySelector('.person .count')`);
    assert.equal(await bob.page.$('.bubble img'), null);
    await bob.say('Got it.');
    await alice.sees('Got it.');
    await alice.until(`document.querySelector('#announcer').textContent === 'bob: Got it.'`);
    await alice.type('two');
    await alice.page.keyboard.down('Shift');
    await alice.press('Enter');
    await alice.page.keyboard.up('Shift');
    await alice.type('lines');
    await alice.press('Enter');
    await bob.sees('two\nlines');
    await alice.isMarked('accepted');
    await isAccessible(alice.page);
  });

  await test('the panel shows what the relay sees, and no word of it', async () => {
    await alice.click('#relay-open');
    await alice.until(`document.activeElement.id === 'relay-close'`);
    const traffic = await alice.text('#traffic');
    assert.match(traffic, /Envelope for bob/);
    assert.match(traffic, /Envelope in your mailbox/);
    assert.match(traffic, /[\d,.]+ bytes · device \d+ · at the relay/);
    assert.match(traffic, /([0-9a-f]{2} ){24}…/);
    assert.doesNotMatch(traffic, /two|lines|Got it/);
    await isAccessible(alice.page);
    await alice.page.setViewport({ width: 1100, height: 800 });
    // Beside the conversation, not over it.
    await alice.until(
      `document.querySelector('#talk').getBoundingClientRect().right <= document.querySelector('#relay').getBoundingClientRect().left`,
    );
    await alice.page.setViewport({ width: 1280, height: 800 });
    await alice.press('Escape');
    await alice.until(`document.activeElement.id === 'relay-open'`);
  });

  await test('their safety numbers are equal, and comparing them verifies', async () => {
    for (const who of [bob, alice]) await who.click('#trust');
    for (const who of [bob, alice]) await who.until(`document.querySelector('#safety').open`);
    const digits = (await alice.text('#digits')).trim();
    assert.match(digits, /^(\d{5} ){11}\d{5}$/);
    assert.equal((await bob.text('#digits')).trim(), digits);
    assert.notEqual(await alice.page.$('#qr svg[role="img"] path'), null);
    await isAccessible(alice.page);
    await alice.until(`document.activeElement.id === 'match'`);
    await alice.press('Enter');
    await alice.until(`document.querySelector('#safety-state').textContent === 'Verified by you'`);
    for (const who of [alice, bob]) await who.press('Escape');
    assert.match(await alice.text('#trust'), /^Verified/);
    assert.match(await bob.text('#trust'), /^Not verified/);
    await isAccessible(alice.page);
  });

  await test('without a relay messages wait, visibly, and go out by themselves', async () => {
    await site.stopRelay();
    await alice.until(`document.querySelector('#connection').dataset.state === 'offline'`);
    await alice.say('Written offline, one.');
    await alice.say('Written offline, two.');
    await alice.isMarked('queued');
    await alice.until(`document.querySelector('#connection').textContent === 'Offline · 2 waiting'`);
    assert.match(await alice.text('#waiting'), /offline/);
    await isAccessible(alice.page);
    await site.startRelay();
    await bob.sees('Written offline, one.');
    await bob.sees('Written offline, two.');
    await alice.isMarked('accepted');
    await alice.until(`document.querySelector('#connection').textContent === 'Online'`);
  });

  await test('after a reload the passphrase opens it again, and a wrong one does not', async () => {
    await alice.reload();
    await isAccessible(alice.page);
    await alice.unlock('not the passphrase at all');
    await alice.until(`document.querySelector('#gate-error').textContent !== ''`);
    assert.equal(await alice.text('#gate-error'), 'That is not the passphrase. Try again.');
    await alice.until(`document.activeElement.id === 'passphrase'`);
    const startMs = performance.now();
    await alice.unlock();
    await alice.until(`document.querySelector('#app').checkVisibility()`);
    note(`unlocked in ${Math.round(performance.now() - startMs)} ms`);
    await alice.click('.person');
    await alice.sees('Written offline, two.');
    await alice.until(`document.querySelector('#trust').dataset.trust === 'verified'`);
    await bob.say('Welcome back.');
    await alice.sees('Welcome back.');
  });

  await test('no page broke its policy, and none has complained', async () => {
    for (const who of [alice, bob]) {
      assert.deepEqual(await who.violations(), []);
      assert.deepEqual(who.errors, []);
    }
  });

  await test('erasing leaves nothing in the browser, nor in another tab', async () => {
    const second = await site.person(bob.context);
    await second.unlock();
    await second.until(`document.querySelector('#app').checkVisibility()`);
    await bob.click('#device-open');
    await bob.click('#erase');
    await Promise.all([bob.page.waitForNavigation(), second.page.waitForNavigation(), bob.click('#confirm-yes')]);
    await second.until(`document.querySelector('#gate').checkVisibility()`);
    await bob.until(`document.querySelector('#name').checkVisibility()`);
    const left = await bob.page.evaluate(async () => [(await indexedDB.databases()).map(({ name }) => name), localStorage.length]);
    assert.deepEqual(left, [[], 1]); // an empty list of accounts
  });

  await site.close();
}
