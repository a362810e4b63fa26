import assert from 'node:assert/strict';
import type { CDPSession } from 'puppeteer-core';
import type { Stage } from './run.js';

type SealedPage = typeof import('./sealed.page.js');

const AUTHENTICATOR = {
  protocol: 'ctap2',
  ctap2Version: 'ctap2_1',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  hasPrf: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
} as const;

export default async function drive({ browser, start, test, note, server }: Stage): Promise<void> {
  const session = await start();
  const tab = await session.open<SealedPage>('sealed');

  await test('a passphrase is worked on by a worker of the page’s own origin, and the page goes on', async () => {
    const { foundMs, openMs, stallMs, progress, workers } = await tab.call('passphrase', 'by-passphrase');
    note(
      `Argon2id, 64 MiB, 3 passes: founded in ${foundMs.toFixed(0)} ms, opened in ${openMs.toFixed(0)} ms, page stood still ${stallMs.toFixed(0)} ms`,
    );
    assert.equal(workers, 2);
    assert.ok(progress > 20, `${progress} reports of progress`);
  });

  await test('a wrong passphrase and a cancelled question are told apart, and the next answer opens the store', async () => {
    assert.deepEqual(await tab.call('answers', 'by-passphrase'), ['ERR_STORE_KEY key AuthError', 'ERR_STORE_KEY key AbortError', 'ok']);
  });

  // A virtual authenticator is there by the Chrome DevTools Protocol only.
  if (browser !== 'chromium') return;

  // Passkeys belong to domains: not to an address.
  const page = await session.browser().newPage();
  await page.goto(`${server.origin.replace('127.0.0.1', 'localhost')}/sealed`);
  await page.waitForFunction(() => 'page' in globalThis, { polling: 50 });
  const call = <K extends keyof SealedPage>(key: K, name: string): Promise<Awaited<ReturnType<SealedPage[K]>>> =>
    page.evaluate(
      (method: string, argument: string) =>
        (globalThis as unknown as { page: Record<string, (given: string) => unknown> }).page[method]!(argument),
      key,
      name,
    ) as Promise<Awaited<ReturnType<SealedPage[K]>>>;
  const cdp: CDPSession = await page.createCDPSession();
  await cdp.send('WebAuthn.enable');
  /** Runs a test with an authenticator of its own. */
  const withAuthenticator = async (name: string, options: object, body: (authenticatorId: string) => Promise<void>): Promise<void> => {
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: { ...AUTHENTICATOR, ...options } });
    await test(name, () => body(authenticatorId));
    await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
  };
  const credentialsOf = async (authenticatorId: string): Promise<number> =>
    (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials.length;

  await withAuthenticator('a passkey opens the store that it was added to', {}, async (authenticatorId) => {
    assert.equal(await call('foundWithPasskey', 'alone'), 'ERR_ARGUMENT key');
    assert.deepEqual(await call('addPasskey', 'by-passkey'), ['passkey', 'raw']);
    assert.deepEqual(await call('readWithPasskey', 'by-passkey'), [7, 7, 7]);
    assert.equal(await credentialsOf(authenticatorId), 1);
    assert.deepEqual(await call('rotateWithPasskey', 'by-passkey'), [7, 7, 7]);
    // Removed and added again: a second passkey. Rotated: still the second.
    assert.equal(await credentialsOf(authenticatorId), 2);
    assert.deepEqual(await call('readWithPasskey', 'by-passkey'), [7, 7, 7]);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    assert.equal(await call('tryPasskey', 'by-passkey'), 'ERR_STORE_KEY key NotAllowedError');
  });

  await withAuthenticator('another authenticator has not the passkey', {}, async () => {
    assert.equal(await call('tryPasskey', 'by-passkey'), 'ERR_STORE_KEY key NotAllowedError');
  });

  await withAuthenticator('an authenticator without PRF is told, and adds nothing', { hasPrf: false }, async () => {
    assert.equal(await call('tryAddPasskey', 'without-prf'), 'ERR_ARGUMENT passkey');
  });
}
