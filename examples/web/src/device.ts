/** What there is to know of this device, and how to lock or erase it. */

import { forget, type OpenAccount } from './account.js';
import { ask, toast, toastError } from './ask.js';
import { byId, el } from './dom.js';

export function setUpDevice(session: OpenAccount): void {
  const dialog = byId<HTMLDialogElement>('device');
  byId('device-open').addEventListener('click', () => {
    const facts: readonly (readonly [string, string])[] = [
      ['Account', session.account],
      ['Device', String(session.client.device)],
      ['Kept in', 'this browser, encrypted'],
    ];
    byId('facts').replaceChildren(...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
    dialog.showModal();
  });
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
  byId('erase').addEventListener('click', async () => {
    dialog.close();
    const isSure = await ask({
      title: `Erase ${session.account} from this browser?`,
      text: 'Its keys and messages are destroyed. Nobody can bring them back, and the name stays taken at the relay.',
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
  });
}
