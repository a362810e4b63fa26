/** The chat page of `examples/web`, built and served, with a relay of its own that can be stopped and started again. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext } from 'puppeteer-core';
import { type Relay, startRelay } from '../../examples/relay/relay.js';
import { buildPage, servePage } from '../../examples/web/server.js';
import type { Stage } from './run.js';
import { type Person, person } from './web-person.js';

export interface Site {
  readonly url: string;
  /** The relay's folder. */
  readonly data: string;
  /** Opens the page in a new profile, or in another tab of `context`. */
  person(context?: BrowserContext): Promise<Person>;
  stopRelay(): Promise<void>;
  /** On the same port and folder as before. */
  startRelay(): Promise<void>;
  close(): Promise<void>;
}

/** Builds the page, and serves it until the drive closes it. */
export async function openSite({ start }: Stage): Promise<Site> {
  const data = mkdtempSync(join(tmpdir(), 'cyphr-web-'));
  let relay: Relay = await startRelay({ data, logLevel: 'silent' });
  const port = Number(new URL(relay.url).port);
  await buildPage();
  const page = await servePage({ relayUrl: relay.url });
  const browser = (await start()).browser();
  return {
    url: page.url,
    data,
    person: (context) => person(browser, page.url, context),
    stopRelay: () => relay.close(),
    async startRelay() {
      relay = await startRelay({ data, port, logLevel: 'silent' });
    },
    async close() {
      await page.close();
      await relay.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
