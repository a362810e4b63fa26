/** What there is to know of this device and the account's others, and how to link, remove, lock and erase. */

import type { DeviceFacts } from '@cyphr/e2ee';
import { areReceiptsOn, forget, type OpenAccount, setReceipts } from './account.js';
import { ask, toast, toastError } from './ask.js';
import { byId, el } from './dom.js';
import { setUpLinking } from './linking.js';

export function setUpDevice(session: OpenAccount): void {
  const dialog = byId<HTMLDialogElement>('device');
  const { devices } = session.client;
  const link = setUpLinking(session);

  async function remove(device: number): Promise<void> {
    const isSure = await ask({
      title: `Remove device ${device}?`,
      text: 'It gets nothing that is written from now on. What it has received stays on it.',
      yes: 'Remove it',
    });
    if (!isSure) return;
    await devices.revoke(device);
    toast('The device was removed from your account.');
    await showDevices();
  }

  function row({ device, self }: DeviceFacts, isPrimary: boolean): HTMLLIElement {
    const button = el(
      'button',
      { type: 'button', class: 'plain-button small' },
      'Remove',
      el('span', { class: 'sr' }, ` device ${device}`),
    );
    button.addEventListener('click', () => remove(device).catch(toastError));
    return el('li', {}, el('span', {}, `Device ${device}`), self ? el('strong', {}, 'this one') : isPrimary ? button : undefined);
  }

  async function showDevices(): Promise<void> {
    const list = await devices.list();
    const isPrimary = list.some(({ self, isPrimary }) => self && isPrimary === true);
    byId('devices').replaceChildren(...[...list].sort((a, b) => Number(b.self) - Number(a.self)).map((facts) => row(facts, isPrimary)));
    byId('link').hidden = !isPrimary;
    byId('linked-hint').hidden = isPrimary;
  }

  session.onChange(({ kind }) => {
    if (kind === 'devices' && dialog.open) showDevices().catch(toastError);
  });
  byId('device-open').addEventListener('click', () => {
    const facts: readonly (readonly [string, string])[] = [
      ['Account', session.account],
      ['Kept in', 'this browser, encrypted'],
    ];
    byId('facts').replaceChildren(...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
    byId<HTMLInputElement>('receipts').checked = areReceiptsOn();
    dialog.showModal();
    // A device that has stopped has no list any more.
    showDevices().catch(() => byId('devices').replaceChildren());
  });
  byId('link').addEventListener('click', () => {
    dialog.close();
    link();
  });
  byId<HTMLInputElement>('receipts').addEventListener('change', ({ target }) => setReceipts((target as HTMLInputElement).checked));

  const addPasskey = byId<HTMLButtonElement>('add-passkey');
  addPasskey.hidden = session.hasPasskey || !('PublicKeyCredential' in window);
  addPasskey.addEventListener('click', async () => {
    try {
      await session.addPasskey();
      addPasskey.hidden = true;
      toast('From now on the passkey opens this account too.');
    } catch (error) {
      toastError(error);
    }
  });
  // A page that begins anew holds no key and no message.
  byId('lock').addEventListener('click', async () => {
    await session.close();
    location.reload();
  });
  async function erase(): Promise<void> {
    dialog.close();
    const isSure = await ask({
      title: `Erase ${session.account} from this browser?`,
      text: 'Its keys and messages are destroyed here, and nobody can bring them back. The name stays taken at the relay.',
      yes: 'Erase',
    });
    if (!isSure) return;
    try {
      await session.erase();
      forget(session.account);
      location.reload();
    } catch (error) {
      toastError(error);
    }
  }
  for (const id of ['erase', 'halted-erase']) byId(id).addEventListener('click', erase);
}
