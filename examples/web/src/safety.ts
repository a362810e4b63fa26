/** The safety number: digits to read out, and a code to look at. */

import type { SafetyNumber } from '@cyphr/e2ee';
import { toastError } from './ask.js';
import { byId, el, icon } from './dom.js';
import { qrCode } from './qr.js';
import type { Session, Talk } from './session.js';

/** Returns what opens the dialog for a conversation. */
export function setUpSafety(session: Session): (talk: Talk) => void {
  const dialog = byId<HTMLDialogElement>('safety');
  let open: { readonly talk: Talk; readonly number: SafetyNumber } | undefined;

  function showState(talk: Talk): void {
    const state = byId('safety-state');
    state.dataset['trust'] = talk.trust ?? 'none';
    const isVerified = talk.trust === 'verified';
    state.replaceChildren(
      icon(isVerified ? 'shield' : talk.trust === 'changed' ? 'alert' : 'shield-open'),
      isVerified ? 'Verified by you' : talk.trust === 'changed' ? 'Changed since the last time' : 'Not compared yet',
    );
    byId('match').hidden = isVerified;
    byId('unverify').hidden = !isVerified;
  }

  async function show(talk: Talk): Promise<void> {
    const { account } = talk.person;
    const number = await session.client.contact(account).safetyNumber();
    open = { talk, number };
    byId('safety-title').textContent = `Safety number with ${account}`;
    byId('safety-lead').textContent =
      `Look at this together with ${account}, or read it out over the phone. If both see the same digits, nobody is in between.`;
    byId('qr').replaceChildren(qrCode(number.qr, `A code of this safety number, for the camera of ${account}`));
    byId('digits').replaceChildren(...number.digits.split(' ').flatMap((group) => [el('span', {}, group), ' ']));
    showState(talk);
    dialog.showModal();
    byId(talk.trust === 'verified' ? 'unverify' : 'match').focus();
  }

  /** Every verb is bound to the number that was shown. */
  async function decide(verb: (number: SafetyNumber, talk: Talk) => Promise<void>): Promise<void> {
    if (open === undefined) return;
    const { talk, number } = open;
    await verb(number, talk);
    await session.refresh(talk);
    showState(talk);
    byId(talk.trust === 'verified' ? 'unverify' : 'match').focus();
  }
  byId('match').addEventListener('click', () => decide((number) => number.confirmDigits()).catch(toastError));
  byId('unverify').addEventListener('click', () => {
    decide((_, talk) => session.client.contact(talk.person.account).unverify()).catch(toastError);
  });
  return (talk) => {
    show(talk).catch(toastError);
  };
}
