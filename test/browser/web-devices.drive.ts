/** Several devices at the chat page: linking one, what both show, a session that is broken and mends, removing one. */

import assert from 'node:assert/strict';
import type { Stage } from './run.js';
import { isAccessible } from './web-checks.js';
import { PASSPHRASE, type Person } from './web-person.js';
import { openSite } from './web-site.js';

const isOpen = (who: Person): Promise<void> => who.until(`document.querySelector('#app').checkVisibility()`);
const isNoted = (who: Person, text: string): Promise<void> =>
  who.until(`[...document.querySelectorAll('.note')].some((note) => note.textContent.startsWith(${JSON.stringify(text)}))`);

/** Opens the menu of the message with this text, as one does who points at it. */
async function openMenu(who: Person, text: string): Promise<void> {
  await who.sees(text);
  await who.page.bringToFront();
  await who.page.evaluate((wanted) => {
    const bubble = [...document.querySelectorAll('.bubble')].find(({ textContent }) => textContent === wanted);
    bubble?.parentElement?.querySelector<HTMLElement>('.more')?.focus();
  }, text);
  await who.press('Enter');
  await who.until(`document.querySelector('#menu').matches(':popover-open')`);
}

export default async function drive(stage: Stage): Promise<void> {
  const { test } = stage;
  const site = await openSite(stage);
  const laptop = await site.person();
  const phone = await site.person();
  const bob = await site.person();

  await test('alice has a conversation on one device, and has verified bob there', async () => {
    await laptop.register('alice');
    await bob.register('bob');
    await laptop.begin('bob');
    await laptop.say('From the laptop.');
    await bob.click('.person');
    await bob.sees('From the laptop.');
    await bob.say('Heard.');
    await laptop.sees('Heard.');
    await laptop.click('#trust');
    await laptop.click('#match');
    await laptop.until(`document.querySelector('#safety-state').textContent === 'Verified by you'`);
    await laptop.press('Escape');
  });

  await test('a code with a typing error is refused, and leaves nothing behind', async () => {
    await phone.click('#gate-join');
    await phone.until(`document.activeElement.id === 'name'`);
    await isAccessible(phone.page);
    await phone.type('alice');
    await phone.press('Enter');
    assert.equal(await phone.text('#gate-error'), 'Type the code that the other device shows.');
    await phone.fill('#code', '2K0M-03CB-4HD5-9T79-7WDK-0P0G');
    await phone.fill('#passphrase', PASSPHRASE);
    await phone.fill('#again', PASSPHRASE);
    await phone.press('Enter');
    await phone.until(`document.querySelector('#gate-error').textContent === 'This is no such code. Look at it again.'`);
    assert.deepEqual(await phone.page.evaluate(() => indexedDB.databases()), []);
  });

  const join = async (): Promise<void> => {
    await laptop.click('#device-open');
    await laptop.click('#link');
    const code = await laptop.text('#link-typed');
    assert.match(code, /^([0-9A-Z]{4}-){5}[0-9A-Z]{4}$/);
    await phone.page.evaluate(() => document.querySelector<HTMLFormElement>('#gate-form')?.reset());
    await phone.fill('#name', 'alice');
    // As people type.
    await phone.fill('#code', code.toLowerCase());
    await phone.fill('#passphrase', PASSPHRASE);
    await phone.fill('#again', PASSPHRASE);
    await phone.press('Enter');
    const shown = await phone.text('#join-confirmation');
    assert.match(shown, /^\d{6} \d{6}$/);
    assert.equal(await laptop.text('#link-confirmation'), shown);
  };

  await test('a device that the person refuses is none', async () => {
    await join();
    await laptop.click('#link-differ');
    await phone.until(`document.querySelector('#gate-error').textContent.startsWith('The other device has said no')`);
    assert.deepEqual(await phone.page.evaluate(() => indexedDB.databases()), []);
  });

  await test('a second device is linked: a code, a number on both, and a person who compares', async () => {
    await laptop.click('#device-open');
    await laptop.until(`document.querySelectorAll('#devices li').length === 1`);
    await isAccessible(laptop.page);
    await laptop.press('Escape');
    await join();
    await isAccessible(laptop.page);
    await isAccessible(phone.page);
    await laptop.click('#link-same');
    await isOpen(phone);
    await phone.until(`document.querySelector('#connection').dataset.state === 'online'`);
    await laptop.click('#device-open');
    await laptop.until(`document.querySelectorAll('#devices li').length === 2`);
    await isAccessible(laptop.page);
    await laptop.press('Escape');
    await isNoted(bob, 'alice has linked a device.');
  });

  await test('the conversations of before are on the new device, each line on its side', async () => {
    await phone.until(`document.querySelectorAll('.person').length === 1`);
    await phone.click('.person');
    for (const text of ['From the laptop.', 'Heard.']) await phone.sees(text);
    await laptop.until(`document.querySelector('#toast').textContent === 'The new device has your conversations.'`);
    const sides = (who: Person): Promise<string[]> =>
      who.page.$$eval('.bubble', (all) =>
        all.map((bubble) => `${bubble.textContent} ${bubble.closest('.line')?.classList.contains('own')}`),
      );
    assert.deepEqual(await sides(phone), ['From the laptop. true', 'Heard. false']);
    assert.deepEqual(await sides(laptop), await sides(phone));
    await isAccessible(phone.page);
  });

  await test('both devices are one person: what one writes stands on the other as one’s own, and contacts are verified there too', async () => {
    await bob.say('To both.');
    await laptop.sees('To both.');
    await phone.click('.person');
    await phone.sees('To both.');
    await phone.until(`document.querySelector('#trust').dataset.trust === 'verified'`);
    await phone.say('From the phone.');
    await bob.sees('From the phone.');
    await laptop.until(
      `[...document.querySelectorAll('.line.own')].some((line) => /From the phone\\..*from another device/s.test(line.textContent))`,
    );
    await laptop.say('And from the laptop.');
    await phone.sees('And from the laptop.');
    const order = (who: Person): Promise<string[]> => who.page.$$eval('.bubble', (all) => all.map(({ textContent }) => textContent ?? ''));
    const tail = ['To both.', 'From the phone.', 'And from the laptop.'];
    await bob.sees('And from the laptop.');
    for (const who of [laptop, phone, bob]) assert.deepEqual((await order(who)).slice(-3), tail);
    await isAccessible(phone.page);
  });

  await test('messages are edited, answered by a sign, and deleted, by keyboard', async () => {
    await openMenu(bob, 'And from the laptop.');
    await isAccessible(bob.page);
    assert.equal(await bob.page.$eval('#edit', (button) => button.checkVisibility()), false);
    await bob.press('Enter');
    for (const who of [laptop, phone]) await who.until(`document.querySelector('.reactions')?.textContent === '👍'`);
    await openMenu(laptop, 'And from the laptop.');
    await laptop.click('#edit');
    await laptop.until(`document.querySelector('#editing').checkVisibility() && document.activeElement.id === 'text'`);
    await isAccessible(laptop.page);
    await laptop.press('End');
    await laptop.type(' Edited.');
    await laptop.press('Enter');
    for (const who of [bob, phone]) await who.sees('And from the laptop. Edited.');
    // From the device that did not write it.
    await openMenu(phone, 'And from the laptop. Edited.');
    await phone.click('#delete');
    await phone.click('#confirm-yes');
    for (const who of [bob, laptop, phone]) await who.sees('This message was deleted');
    await isAccessible(laptop.page);
  });

  await test('messages are set to disappear, and both sides see that', async () => {
    await laptop.click('#timer-open');
    await isAccessible(laptop.page);
    await laptop.press('ArrowDown', 'ArrowDown', 'Enter');
    await isNoted(bob, 'alice set messages to disappear after 1 hour.');
    await isNoted(phone, 'You set messages to disappear after 1 hour.');
    await bob.say('Not for ever.');
    await laptop.until(`[...document.querySelectorAll('.line')].at(-1)?.textContent.includes('disappears')`);
  });

  await test('a session that is broken on purpose mends by itself, and nothing is lost', async () => {
    await laptop.click('#inside-open');
    await isAccessible(laptop.page);
    await laptop.click('#break');
    assert.match(await laptop.text('#breaking'), /next 3 of 3 messages that you write/);
    for (const text of ['One, damaged.', 'Two, damaged.', 'Three, damaged.']) await laptop.say(text);
    for (const text of ['One, damaged.', 'Two, damaged.', 'Three, damaged.']) await bob.sees(text);
    await laptop.until(`document.querySelector('#breaking').textContent.startsWith('3 messages were damaged')`);
    await isNoted(bob, 'Messages from alice could not be read.');
    await isNoted(laptop, 'The session with bob has mended.');
    await laptop.until(`document.querySelector('#happened').textContent.includes('reason healed')`);
    await bob.click('.note-trouble .link');
    await bob.until(`/^ERR_DECRYPT.*healed/s.test(document.querySelector('#diagnosis').textContent)`);
    await isAccessible(bob.page);
    await laptop.click('#diagnose');
    await laptop.until(`document.querySelector('#diagnosis').textContent.startsWith('healthy')`);
    assert.doesNotMatch(await laptop.text('#diagnosis'), /alice|bob/);
    await laptop.say('After that.');
    await bob.sees('After that.');
    await phone.sees('After that.');
  });

  await test('a device that is removed stops, and gets nothing any more', async () => {
    await laptop.click('#device-open');
    await laptop.click('#devices button');
    await laptop.click('#confirm-yes');
    await laptop.until(`document.querySelectorAll('#devices li').length === 1`);
    await laptop.press('Escape');
    await isNoted(bob, 'alice has removed a device.');
    await bob.say('For the laptop alone.');
    await laptop.sees('For the laptop alone.');
    await phone.until(`document.querySelector('#halted').checkVisibility()`);
    assert.match(await phone.text('#halted-text'), /removed from its account/);
    await phone.click('#recover');
    await phone.until(`document.querySelector('#halted-erase').checkVisibility()`);
    await isAccessible(phone.page);
    assert.doesNotMatch(await phone.text('#lines'), /alone/);
    await Promise.all([phone.page.waitForNavigation(), phone.click('#halted-erase').then(() => phone.click('#confirm-yes'))]);
    assert.deepEqual(await phone.page.evaluate(() => indexedDB.databases()), []);
  });

  await test('people hear that their messages came', async () => {
    await laptop.until(`[...document.querySelectorAll('.line.own')].some(({ dataset }) => /delivered|read/.test(dataset.state))`);
  });

  await test('no page broke its policy, and none has complained', async () => {
    for (const who of [laptop, bob, phone]) {
      assert.deepEqual(await who.violations(), []);
      assert.deepEqual(who.errors, []);
    }
  });

  await site.close();
}
