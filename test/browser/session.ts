/** A real browser with a profile of its own, and its tabs: puppeteer for both, over CDP and WebDriver BiDi. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

export type BrowserName = 'chromium' | 'firefox';

/** Where Debian and Ubuntu put them. */
export const BINARIES: Readonly<Record<BrowserName, string>> = { chromium: '/usr/bin/chromium', firefox: '/usr/bin/firefox-esr' };

/** The browsers that are installed. */
export const installedBrowsers = (): BrowserName[] => (Object.keys(BINARIES) as BrowserName[]).filter((name) => existsSync(BINARIES[name]));

const CHROMIUM_FLAGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

type Functions<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never }[keyof M];

/** A tab with a page whose module is `M`. */
export interface Tab<M> {
  readonly page: Page;
  /** Calls an exported function of the page; arguments and result are JSON. Rejects with what it throws. */
  call<K extends Functions<M>>(
    name: K,
    ...args: M[K] extends (...args: infer A) => unknown ? A : never
  ): Promise<M[K] extends (...args: never[]) => infer R ? Awaited<R> : never>;
  /** Loads the page again. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** A profile, with a browser that runs on it. */
export interface Session {
  readonly origin: string;
  browser(): Browser;
  /** Opens `<page>.page.ts` in a new tab: `open<typeof import('./store.page.js')>('store')`. */
  open<M>(page: string): Promise<Tab<M>>;
  /** Ends the browser's process with SIGKILL, and starts it again on the same profile. */
  kill(): Promise<void>;
  /** Ends the browser in order and starts it again on the same profile, with other preferences (Firefox). */
  restart(preferences?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Ends the browser and deletes the profile. */
  close(): Promise<void>;
}

/** Starts a browser on a new profile. `onPageError` hears what nobody caught in a page. */
export async function startSession(name: BrowserName, origin: string, onPageError: (error: Error) => void): Promise<Session> {
  const userDataDir = mkdtempSync(join(tmpdir(), `cyphr-${name}-`));
  const launch = (extraPrefsFirefox: Readonly<Record<string, unknown>> = {}): Promise<Browser> =>
    puppeteer.launch({
      browser: name === 'firefox' ? 'firefox' : 'chrome',
      executablePath: BINARIES[name],
      headless: true,
      userDataDir,
      args: name === 'chromium' ? CHROMIUM_FLAGS.split(' ') : [],
      extraPrefsFirefox,
    });
  let browser = await launch();
  const ended = (): Promise<unknown> => new Promise((resolve) => browser.process()!.once('exit', resolve));

  return {
    origin,
    browser: () => browser,
    async open<M>(path: string): Promise<Tab<M>> {
      const page = await browser.newPage();
      page.on('pageerror', (error) => {
        // Firefox says so beside its report, which is counted.
        if (!(error as Error).message.startsWith('Content-Security-Policy:')) onPageError(error as Error);
      });
      const load = async (response: Promise<unknown>): Promise<void> => {
        await response;
        // Not at each frame, as is the default: a tab in the background may be drawn no frames.
        await page.waitForFunction(() => 'page' in globalThis, { polling: 50 });
      };
      await load(page.goto(`${origin}/${path}`));
      return {
        page,
        call: (async (key: string, ...args: unknown[]) => {
          const result = await page.evaluate(
            (method, json) =>
              (globalThis as unknown as { page: Record<string, (...given: unknown[]) => unknown> }).page[method]!(...JSON.parse(json)),
            key,
            JSON.stringify(args),
          );
          return result;
        }) as Tab<M>['call'],
        reload: () => load(page.reload()),
        close: () => page.close(),
      };
    },
    async kill() {
      const end = ended();
      browser.process()!.kill('SIGKILL');
      await end;
      // Puppeteer now puts Firefox's preferences back in their place, and is not to be disturbed.
      const isTidying = (): boolean => ['prefs.js', 'user.js'].some((file) => existsSync(join(userDataDir, `${file}.puppeteer`)));
      while (isTidying()) await new Promise((resolve) => setImmediate(resolve));
      browser = await launch();
    },
    async restart(preferences) {
      await browser.close();
      browser = await launch(preferences);
    },
    async close() {
      await browser.close();
      rmSync(userDataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
