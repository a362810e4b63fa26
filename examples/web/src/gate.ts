/** The gate: choosing a name and a lock the first time, unlocking every other time. */

import { isCyphrError } from '@cyphr/e2ee';
import { eraseAccount, type KnownAccount, knownAccounts, NothingHere, type OpenAccount, type Opening, openAccount } from './account.js';
import { ask } from './ask.js';
import { avatar, byId, el } from './dom.js';

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
};

const isNothingHere = (error: unknown): boolean => isCyphrError(error) && error.cause instanceof NothingHere;

/** What went wrong, for a person. */
function reason(error: unknown, isPasskey: boolean): string {
  if (isNothingHere(error)) return 'This browser holds nothing of that account any more. You can create a new one.';
  if (!isCyphrError(error)) return 'Something went wrong in this page.';
  switch (error.code) {
    case 'ERR_STORE_KEY':
      return isPasskey ? 'The passkey did not open it. Try again, or use the passphrase.' : 'That is not the passphrase. Try again.';
    case 'ERR_ACCOUNT_EXISTS':
      return 'This name is taken. Choose another one.';
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
  const errorLine = byId('gate-error');
  const submit = byId<HTMLButtonElement>('gate-submit');
  const usePasskey = byId<HTMLButtonElement>('passkey');
  const padlock = byId('padlock');
  let mode: keyof typeof TEXTS = knownAccounts().length > 0 ? 'unlock' : 'create';

  const chosen = (): KnownAccount | undefined => {
    const checked = form.querySelector<HTMLInputElement>('input[name="account"]:checked');
    return knownAccounts().find(({ account }) => account === checked?.value);
  };
  const account = (): string => (mode === 'create' ? name.value.trim().normalize('NFC') : (chosen()?.account ?? ''));

  function clear(): void {
    errorLine.textContent = '';
    for (const input of [name, passphrase, again]) input.removeAttribute('aria-invalid');
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
    byId('gate-switch').hidden = known.length === 0;
    const accounts = byId('accounts');
    accounts.hidden = mode === 'create';
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
    byId('gate-forgot').hidden = mode === 'create';
    passphrase.setAttribute('aria-describedby', mode === 'create' ? 'passphrase-hint' : 'gate-error');
    passphrase.autocomplete = mode === 'create' ? 'new-password' : 'current-password';
    padlock.classList.toggle('open', mode === 'create');
    clear();
    form.reset();
    showPasskey();
    (mode === 'create' ? name : passphrase).focus();
  }

  function showPasskey(): void {
    usePasskey.hidden = mode === 'create' || chosen()?.hasPasskey !== true;
  }

  function work(isWorking: boolean): void {
    form.setAttribute('aria-busy', String(isWorking));
    byId('working').hidden = !isWorking;
    byId('work-label').textContent = TEXTS[mode].working;
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
    if (mode === 'create') {
      if (account() === '') return ['Choose a name.', name];
      if (new TextEncoder().encode(account()).length > 64) return ['Choose a shorter name.', name];
      if (knownAccounts().some((known) => known.account === account())) return ['This browser has that account already: unlock it.', name];
    }
    if (mode === 'unlock') return passphrase.value === '' ? ['Type your passphrase.', passphrase] : undefined;
    if (passphrase.value.length < PASSPHRASE_MIN_CHARS) return [`Use at least ${PASSPHRASE_MIN_CHARS} characters.`, passphrase];
    if (passphrase.value !== again.value) return ['The two passphrases differ.', again];
    return undefined;
  }

  async function open(key: Opening['key']): Promise<void> {
    const whose = account();
    clear();
    work(true);
    try {
      const opened = await openAccount({ account: whose, purpose: mode, key });
      form.reset();
      onOpen(opened);
    } catch (error) {
      work(false);
      if (isNothingHere(error)) {
        // What is left, if anything, was encrypted with keys that are gone.
        await eraseAccount(whose);
        show('create');
      }
      const isTaken = isCyphrError(error) && error.code === 'ERR_ACCOUNT_EXISTS';
      fail(reason(error, key === 'passkey'), mode === 'unlock' ? passphrase : isTaken ? name : undefined);
      if (!isCyphrError(error)) throw error;
    }
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
