/** A person at the chat page: what they can do there, by the names that they see, and what goes wrong meanwhile. */

import assert from 'node:assert/strict';
import type { Browser, BrowserContext, ElementHandle, KeyInput, Page } from 'puppeteer-core';

export const PASSPHRASE = 'correct horse battery staple';

/** What a person's page has complained of. */
export interface Complaints {
  /** Console errors and errors that nobody caught, except the network's own. */
  readonly errors: string[];
  /** Directives of the policy that the page has broken. */
  violations(): Promise<string[]>;
}

/** A profile of their own, with a page in it. Whoever acts has the window before them. */
export interface Person extends Complaints {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Resolves when `condition`, an expression over the document, holds. */
  until(condition: string): Promise<void>;
  text(selector: string): Promise<string>;
  click(selector: string): Promise<void>;
  /** Puts the focus into a field and types. */
  fill(selector: string, text: string): Promise<void>;
  /** Types where the focus is. */
  type(text: string): Promise<void>;
  press(...keys: KeyInput[]): Promise<void>;
  /** Presses Tab until the focus is on `#id`: reachable without a mouse. */
  tabTo(id: string): Promise<void>;
  /** Writes into the open conversation, as a person does. */
  say(text: string): Promise<void>;
  /** A message with exactly this text is on the screen. */
  sees(text: string): Promise<void>;
  /** The last of one's own messages has this state, or was received since. */
  isMarked(state: string): Promise<void>;
  register(name: string): Promise<void>;
  unlock(passphrase?: string): Promise<void>;
  begin(account: string): Promise<void>;
  reload(): Promise<void>;
}

const quoted = (text: string): string => JSON.stringify(text);

/** Opens `url` in a new profile of `browser`, or in another tab of `context`. */
export async function person(browser: Browser, url: string, context?: BrowserContext): Promise<Person> {
  const profile = context ?? (await browser.createBrowserContext());
  const page = await profile.newPage();
  const errors: string[] = [];
  const note = (text: string): void => {
    // What browsers say of a relay that is away, or was and has forgotten its sessions, is no error of the page.
    if (!/ERR_CONNECTION_REFUSED|status of 403|can.t establish a connection|CORS request did not succeed/.test(text)) errors.push(text);
  };
  page.on('console', (message) => {
    if (message.type() === 'error') note(message.text());
  });
  page.on('pageerror', (error) => note(String((error as Error).stack ?? error)));
  // The compiler that runs the drives names functions by a helper that a page doesn't have.
  await page.evaluateOnNewDocument('globalThis.__name = (fn) => fn');
  await page.evaluateOnNewDocument(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { violations: seen });
    addEventListener('securitypolicyviolation', ({ effectiveDirective }) => seen.push(effectiveDirective));
  });
  await page.goto(url);

  // Evaluated as a string: the page's policy doesn't let a library build functions in it.
  const until = async (condition: string): Promise<void> => {
    await page.evaluate(`new Promise((resolve) => {
      const observer = new MutationObserver(look);
      function look() {
        if (!(${condition})) return;
        observer.disconnect();
        resolve();
      }
      observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      look();
    })`);
  };
  const visible = async (selector: string): Promise<ElementHandle> => {
    await until(`document.querySelector(${quoted(selector)})?.checkVisibility()`);
    return (await page.$(selector))!;
  };
  const focusedId = (): Promise<string> => page.evaluate(() => document.activeElement?.id ?? '');

  const self: Person = {
    context: profile,
    page,
    errors,
    violations: () => page.evaluate(() => (globalThis as unknown as { violations: string[] }).violations),
    until,
    text: async (selector) => (await visible(selector)).evaluate((element) => element.textContent),
    async click(selector) {
      await page.bringToFront();
      await (await visible(selector)).click();
    },
    async fill(selector, text) {
      await page.bringToFront();
      await (await visible(selector)).focus();
      await page.keyboard.type(text);
    },
    async type(text) {
      await page.bringToFront();
      await page.keyboard.type(text);
    },
    async press(...keys) {
      await page.bringToFront();
      for (const key of keys) await page.keyboard.press(key);
    },
    async tabTo(id) {
      for (let i = 0; i < 40 && (await focusedId()) !== id; i++) await self.press('Tab');
      assert.equal(await focusedId(), id);
    },
    async say(text) {
      await self.fill('#text', text);
      await self.press('Enter');
    },
    sees: (text) => until(`[...document.querySelectorAll('.bubble')].some((bubble) => bubble.textContent === ${quoted(text)})`),
    isMarked: (state) =>
      until(`[${quoted(state)}, 'delivered', 'read'].includes([...document.querySelectorAll('.line.own')].at(-1)?.dataset.state)`),
    async register(name) {
      await self.fill('#name', name);
      await self.fill('#passphrase', PASSPHRASE);
      await self.fill('#again', PASSPHRASE);
      await self.click('#gate-submit');
      await visible('#app');
    },
    async unlock(passphrase = PASSPHRASE) {
      await self.fill('#passphrase', passphrase);
      await self.press('Enter');
    },
    async begin(account) {
      await self.fill('#begin-name', account);
      await self.press('Enter');
      await until(`document.querySelector('#peer').textContent === ${quoted(account)}`);
    },
    reload: async () => void (await page.reload()),
  };
  return self;
}
