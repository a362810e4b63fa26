/** The gate: choosing a name and a lock the first time, unlocking every other time. */

import { isCyphrError } from '@cyphr/e2ee';
import { eraseAccount, type KnownAccount, knownAccounts, NothingHere, type OpenAccount, type Opening, openAccount } from './account.js';
import { ask } from './ask.js';
import { announce, avatar, byId, el } from './dom.js';

const PASSPHRASE_MIN_CHARS = 12;

const TEXTS = {
  create: {
    title: 'A private conversation',
    lead: 'Choose a name, and a passphrase that locks it on this device.',
    submit: 'Create account',
    other: 'Use an account of this browser',
    working: 'Making your keys…',
  },
  unlock: {
    title: 'Welcome back',
    lead: 'Your messages are locked on this device.',
    submit: 'Unlock',
    other: 'Add another account',
    working: 'Unlocking…',
  },
  join: {
    title: 'Join an account',
    lead: 'This browser becomes another device of an account that is open elsewhere. There: Devices, then Link a device.',
    submit: 'Join the account',
    other: 'Create an account instead',
    working: 'Asking the other device…',
  },
};

const isNothingHere = (error: unknown): boolean => isCyphrError(error) && error.cause instanceof NothingHere;

/** What went wrong, for a person. */
function reason(error: unknown, mode: keyof typeof TEXTS, isPasskey: boolean): string {
  if (isNothingHere(error)) return 'This browser holds nothing of that account any more. You can create a new one.';
  if (!isCyphrError(error)) return 'Something went wrong in this page.';
  if (mode === 'join' && error.code === 'ERR_TIMEOUT') return 'No device shows this code, or not any more. Show a new one there.';
  if (mode === 'join' && error.code === 'ERR_ARGUMENT')
    return error.field === 'account' ? 'This code is of another account.' : 'This is no such code. Look at it again.';
  switch (error.code) {
    case 'ERR_STORE_KEY':
      return isPasskey ? 'The passkey did not open it. Try again, or use the passphrase.' : 'That is not the passphrase. Try again.';
    case 'ERR_ACCOUNT_EXISTS':
      return 'This name is taken. Choose another one, or join the account from a device that has it.';
    case 'ERR_DEVICE_UNTRUSTED':
      return 'The other device has said no, or the code was used already.';
    case 'ERR_OFFLINE':
    case 'ERR_TIMEOUT':
      return 'The relay can’t be reached. A new account needs it once; try again in a moment.';
    default:
      return `${error.message} (${error.code})`;
  }
}

export function showGate(onOpen: (account: OpenAccount) => void): void {
  const form = byId<HTMLFormElement>('gate-form');
  const name = byId<HTMLInputElement>('name');
  const passphrase = byId<HTMLInputElement>('passphrase');
  const again = byId<HTMLInputElement>('again');
  const code = byId<HTMLInputElement>('code');
  const errorLine = byId('gate-error');
  const submit = byId<HTMLButtonElement>('gate-submit');
  const usePasskey = byId<HTMLButtonElement>('passkey');
  const padlock = byId('padlock');
  /** Ends what is under way, where a person can. */
  let giveUp = new AbortController();
  let mode: keyof typeof TEXTS = knownAccounts().length > 0 ? 'unlock' : 'create';

  const chosen = (): KnownAccount | undefined => {
    const checked = form.querySelector<HTMLInputElement>('input[name="account"]:checked');
    return knownAccounts().find(({ account }) => account === checked?.value);
  };
  const account = (): string => (mode === 'unlock' ? (chosen()?.account ?? '') : name.value.trim().normalize('NFC'));

  function clear(): void {
    errorLine.textContent = '';
    for (const input of [name, code, passphrase, again]) input.removeAttribute('aria-invalid');
  }

  function fail(text: string, field?: HTMLInputElement): void {
    clear();
    errorLine.textContent = text;
    field?.setAttribute('aria-invalid', 'true');
    (field ?? submit).focus();
    if (field === passphrase) field.select();
  }

  function show(next: keyof typeof TEXTS): void {
    mode = next;
    const texts = TEXTS[mode];
    const known = knownAccounts();
    byId('gate-title').textContent = texts.title;
    byId('gate-lead').textContent = texts.lead;
    submit.textContent = texts.submit;
    byId('gate-switch').textContent = texts.other;
    byId('gate-switch').hidden = mode === 'create' && known.length === 0;
    byId('gate-join').hidden = mode === 'join';
    byId('code-field').hidden = mode !== 'join';
    const accounts = byId('accounts');
    accounts.hidden = mode !== 'unlock';
    accounts.replaceChildren(
      el('legend', {}, 'Account'),
      ...known.map((each, i) =>
        el(
          'label',
          {},
          el('input', { type: 'radio', name: 'account', value: each.account, checked: i === known.length - 1 }),
          el('span', {}, avatar(each.account), each.account),
        ),
      ),
    );
    for (const id of ['name-field', 'passphrase-hint', 'again-field']) byId(id).hidden = mode === 'unlock';
    byId('gate-forgot').hidden = mode !== 'unlock';
    byId('name-hint').textContent = mode === 'join' ? 'The same as on the other device.' : 'Others write to you by this name.';
    passphrase.setAttribute('aria-describedby', mode === 'unlock' ? 'gate-error' : 'passphrase-hint');
    passphrase.autocomplete = mode === 'unlock' ? 'current-password' : 'new-password';
    padlock.classList.toggle('open', mode !== 'unlock');
    clear();
    form.reset();
    showPasskey();
    (mode === 'unlock' ? passphrase : name).focus();
  }

  function showPasskey(): void {
    usePasskey.hidden = mode !== 'unlock' || chosen()?.hasPasskey !== true;
  }

  function work(isWorking: boolean): void {
    form.setAttribute('aria-busy', String(isWorking));
    byId('working').hidden = !isWorking;
    byId('work-label').textContent = TEXTS[mode].working;
    byId('give-up').hidden = mode !== 'join';
    if (!isWorking) byId('joining').hidden = true;
    progress(undefined);
    submit.hidden = isWorking;
    for (const control of document.querySelectorAll<HTMLInputElement | HTMLButtonElement>('#gate input, #gate .other button, #passkey')) {
      control.disabled = isWorking;
    }
  }

  function progress(fraction: number | undefined): void {
    const bar = byId<HTMLProgressElement>('work');
    // What comes after the passphrase has no measure.
    if (fraction === undefined || fraction >= 1) bar.removeAttribute('value');
    else bar.value = fraction;
  }

  /** The first thing that keeps this form from being sent. */
  function mistake(): readonly [string, HTMLInputElement] | undefined {
    if (mode !== 'unlock') {
      if (account() === '') return ['Choose a name.', name];
      if (new TextEncoder().encode(account()).length > 64) return ['Choose a shorter name.', name];
      if (knownAccounts().some((known) => known.account === account())) return ['This browser has that account already: unlock it.', name];
    }
    if (mode === 'join' && code.value.trim() === '') return ['Type the code that the other device shows.', code];
    if (mode === 'unlock') return passphrase.value === '' ? ['Type your passphrase.', passphrase] : undefined;
    if (passphrase.value.length < PASSPHRASE_MIN_CHARS) return [`Use at least ${PASSPHRASE_MIN_CHARS} characters.`, passphrase];
    if (passphrase.value !== again.value) return ['The two passphrases differ.', again];
    return undefined;
  }

  /** Both devices show the same: a person compares, and says so on the other one. */
  function showConfirmation(confirmation: string): void {
    byId('joining').hidden = false;
    byId('join-confirmation').textContent = confirmation;
    byId('work-label').textContent = 'Waiting for the other device…';
    announce(`Compare with the other device: ${confirmation}`);
  }

  async function open(key: Opening['key']): Promise<void> {
    const whose = account();
    giveUp = new AbortController();
    const join = { code: code.value.trim(), onConfirmation: showConfirmation, signal: giveUp.signal };
    clear();
    work(true);
    try {
      const opened = await openAccount({ account: whose, purpose: mode, key, join: mode === 'join' ? join : undefined });
      form.reset();
      onOpen(opened);
    } catch (error) {
      work(false);
      if (giveUp.signal.aborted) return code.focus();
      if (isNothingHere(error)) {
        // What is left, if anything, was encrypted with keys that are gone.
        await eraseAccount(whose);
        show('create');
      }
      fail(reason(error, mode, key === 'passkey'), fieldOf(error));
      if (!isCyphrError(error)) throw error;
    }
  }
  /** The field that is to blame. */
  function fieldOf(error: unknown): HTMLInputElement | undefined {
    if (mode === 'unlock') return passphrase;
    if (mode === 'join') return code;
    return isCyphrError(error) && error.code === 'ERR_ACCOUNT_EXISTS' ? name : undefined;
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const wrong = mistake();
    if (wrong !== undefined) return fail(...wrong);
    void open({ passphrase: passphrase.value, progress });
  });
  usePasskey.addEventListener('click', () => void open('passkey'));
  form.addEventListener('change', showPasskey);
  again.addEventListener('input', () => padlock.classList.toggle('open', again.value === '' || again.value !== passphrase.value));
  byId('gate-switch').addEventListener('click', () => show(mode === 'create' ? 'unlock' : 'create'));
  byId('gate-join').addEventListener('click', () => show('join'));
  byId('give-up').addEventListener('click', () => giveUp.abort());
  byId('gate-forgot').addEventListener('click', async () => {
    const whose = account();
    const isSure = await ask({
      title: `Erase ${whose}?`,
      text: 'Nobody can open this account without its lock. You can erase it from this browser, for good, and begin anew under another name.',
      yes: 'Erase it',
    });
    if (!isSure) return;
    await eraseAccount(whose);
    show(knownAccounts().length > 0 ? 'unlock' : 'create');
  });

  byId('gate').hidden = false;
  show(mode);
}
