/**
 * Runs every `*.drive.ts` beside this file in the real browsers that are there: `npm run test:browser`. README.md says how.
 *
 * Usage: [--only chromium|firefox] [name of a drive …]. Exits 1 on a failure, 2 where there is nothing to run.
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRelay } from '../../examples/relay/relay.js';
import { within } from '../../src/testing/assert.js';
import { type PageServer, servePages } from './server.js';
import { BINARIES, type BrowserName, installedBrowsers, type Session, startSession } from './session.js';

/** A test that takes longer hangs. */
const PATIENCE_MS = 60_000;

/** What a drive works with: one browser, and the servers. */
export interface Stage {
  readonly browser: BrowserName;
  readonly server: PageServer;
  /** `ws://…` of a reference relay, the same for all drives. */
  readonly relayUrl: string;
  /** Starts the browser on a new profile; it is closed after the drive. */
  start(): Promise<Session>;
  /** Runs one test and prints its line. Whatever it throws is a failure, and the drive goes on. */
  test(name: string, body: () => Promise<void>): Promise<void>;
  /** Prints a figure. */
  note(text: string): void;
}

/** The default export of a drive. */
export type Drive = (stage: Stage) => Promise<void>;

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function browsersToRun(only: string | undefined): BrowserName[] {
  if (only !== undefined && !Object.hasOwn(BINARIES, only)) throw new Error(`--only takes ${Object.keys(BINARIES).join(' or ')}`);
  const wanted = (Object.keys(BINARIES) as BrowserName[]).filter((name) => only === undefined || name === only);
  const missing = wanted.filter((name) => !installedBrowsers().includes(name));
  if (missing.length === 0) return wanted;
  // Half a run must not look like a whole one: who wants one browser says so.
  throw new Error(
    `Not installed: ${missing.map((name) => `${name} (${BINARIES[name]})`).join(', ')}. On Debian or Ubuntu: apt-get install chromium firefox-esr.` +
      ' To run in one of them: --only chromium, or --only firefox.',
  );
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });
  const browsers = browsersToRun(values.only);
  const drives = readdirSync(new URL('.', import.meta.url))
    .flatMap((name) => /^([a-z-]+)\.drive\.ts$/.exec(name)?.[1] ?? [])
    .filter((name) => positionals.length === 0 || positionals.includes(name));
  if (drives.length === 0) throw new Error(`No such drive: ${positionals.join(' ')}`);

  const data = mkdtempSync(join(tmpdir(), 'cyphr-browser-relay-'));
  const relay = await startRelay({
    data,
    logLevel: 'silent',
    limits: { challengesPerMinute: 1e6, readsPerMinute: 1e6, takesPerHour: 1e6 },
  });
  const server = await servePages(relay.url);
  let passed = 0;
  let failed = 0;
  for (const browser of browsers) {
    for (const drive of drives) {
      const sessions: Session[] = [];
      const uncaught: Error[] = [];
      const test = async (name: string, body: () => Promise<void>): Promise<void> => {
        const startMs = Date.now();
        try {
          await within(body(), PATIENCE_MS, name);
          if (uncaught.length > 0) throw new AggregateError(uncaught.splice(0), 'errors that nobody caught in a page');
          passed += 1;
          say(`ok   ${browser} ${drive}: ${name} (${Date.now() - startMs} ms)`);
        } catch (error) {
          failed += 1;
          say(`FAIL ${browser} ${drive}: ${name}`);
          for (const each of error instanceof AggregateError ? [error, ...error.errors] : [error])
            say(String((each as Error)?.stack ?? each));
        }
      };
      const stage: Stage = {
        browser,
        server,
        relayUrl: relay.url,
        async start() {
          const session = await startSession(browser, server.origin, (error) => uncaught.push(error));
          sessions.push(session);
          return session;
        },
        test,
        note: (text) => say(`     ${browser} ${drive}: ${text}`),
      };
      try {
        await ((await import(`./${drive}.drive.ts`)) as { default: Drive }).default(stage);
      } catch (error) {
        await test('runs to its end', () => Promise.reject(error));
      }
      for (const session of sessions) await session.close().catch((error) => test('its browser ends', () => Promise.reject(error)));
      await test('breaks no rule of the content security policy', async () => {
        const violations = server.takeReports('violation');
        if (violations.length > 0) throw new Error(violations.join('\n'));
      });
    }
  }
  await server.close();
  await relay.close();
  rmSync(data, { recursive: true, force: true });
  say(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error));
  // Whatever still runs, servers and browsers, ends with it.
  process.exit(2);
});
