/** Linking another device, on the one that has the account: it shows a code, then both show a number, and a person compares. */

import { isCyphrError, type LinkRequest } from '@cyphr/e2ee';
import type { OpenAccount } from './account.js';
import { toast, toastError } from './ask.js';
import { byId, el } from './dom.js';
import { qrCode } from './qr.js';
import { clock } from './times.js';

/** Returns what opens the dialog. */
export function setUpLinking(session: OpenAccount): () => void {
  const dialog = byId<HTMLDialogElement>('linking');
  /** Ends with the dialog. */
  let shown = new AbortController();
  let request: LinkRequest | undefined;

  function showStep(step: 'code' | 'compare'): void {
    byId('link-code').hidden = step !== 'code';
    byId('link-compare').hidden = step !== 'compare';
  }

  async function show(): Promise<void> {
    shown = new AbortController();
    const { signal } = shown;
    const linking = await session.client.devices.link({ signal });
    // The text, for the camera of a phone to copy: what a browser scans it hands on as text, and other bytes would be damaged.
    byId('link-qr').replaceChildren(qrCode(linking.typed, 'The code below, for a camera'));
    byId('link-typed').replaceChildren(...linking.typed.split('-').flatMap((group, i) => [i === 0 ? '' : '-', el('span', {}, group)]));
    byId('link-expiry').textContent = `It is good for one device, until ${clock(linking.expiresAtMs)}.`;
    showStep('code');
    dialog.showModal();
    request = await linking.request({ signal });
    byId('link-confirmation').textContent = request.confirmation;
    showStep('compare');
    byId('link-differ').focus();
  }

  async function answer(isSame: boolean): Promise<void> {
    const asked = request;
    request = undefined;
    dialog.close();
    if (!isSame || asked === undefined) {
      await asked?.reject();
      return toast('The device was not linked.');
    }
    await asked.confirm();
    session.sendHistory(asked.device);
    toast('The device is linked. Your conversations are on their way to it: keep this page open.');
  }

  byId('link-same').addEventListener('click', () => answer(true).catch(toastError));
  byId('link-differ').addEventListener('click', () => answer(false).catch(toastError));
  dialog.addEventListener('close', () => {
    shown.abort();
    request?.reject().catch(toastError);
    request = undefined;
  });
  return () => {
    show().catch((error) => {
      if (shown.signal.aborted) return;
      dialog.close();
      if (isCyphrError(error) && error.code === 'ERR_TIMEOUT') toast('The code is no longer good. Show another one.');
      else toastError(error);
    });
  };
}
