/** The frame around the conversations: who there is, which one is open, and how the connection stands. */

import { isCyphrError } from '@cyphr/e2ee';
import type { OpenAccount } from './account.js';
import { toast, toastError } from './ask.js';
import { conversationView } from './conversation.js';
import { setUpDevice } from './device.js';
import { announce, byId } from './dom.js';
import { setUpInside } from './inside.js';
import { setUpPanels } from './panels.js';
import { peopleView } from './people.js';
import { setUpRelayPanel } from './relay-panel.js';
import { setUpSafety } from './safety.js';
import { statusText, type Talk } from './session.js';

export function showChat(session: OpenAccount): void {
  const app = byId('app');
  const connection = byId('connection');
  let open: Talk | undefined;

  const compare = setUpSafety(session);
  const inside = setUpInside(session);
  const conversation = conversationView(session, { compare, explain: inside.explain });
  const people = peopleView(session, (talk) => openTalk(talk));

  function openTalk(talk: Talk): void {
    open = talk;
    app.dataset['view'] = 'talk';
    conversation.show(talk);
    inside.show(talk);
    people.show(talk);
    seen();
    // Another device of the account may have told of a comparison since.
    session.refresh(talk).catch(toastError);
    // On a touch screen the keyboard would cover what was opened.
    if (!matchMedia('(pointer: coarse)').matches) byId('text').focus();
    else byId('talk').focus();
  }

  function closeTalk(): void {
    app.dataset['view'] = 'list';
    people.focus(open);
  }

  /** What is on the screen, before somebody's eyes, has been read. */
  function seen(): void {
    if (open !== undefined && byId('conversation').checkVisibility() && document.visibilityState === 'visible' && document.hasFocus()) {
      session.markRead(open).catch(toastError);
    }
  }

  function showStatus(): void {
    const { status } = session.client;
    // Erased in another tab: nothing is left to show.
    if (status.state === 'closed') location.reload();
    const text = statusText(status);
    if (connection.textContent !== text) connection.textContent = text;
    connection.dataset['state'] = status.state;
    byId('halted').hidden = status.state !== 'halted';
    if (status.state === 'halted') {
      const { message, code } = status.error;
      byId('halted-text').textContent = `${message[0]?.toUpperCase()}${message.slice(1)} (${code}).`;
    }
    conversation.showStatus(status);
  }

  function countUnread(): void {
    const count = session.talks().reduce((sum, talk) => sum + session.unread(talk), 0);
    document.title = count === 0 ? `Cyphr · ${session.account}` : `(${count}) Cyphr · ${session.account}`;
  }

  session.onChange((change) => {
    if (change.kind === 'status') return showStatus();
    if (change.kind === 'notice') return toast(change.text);
    if (change.kind === 'devices') return;
    if (change.kind === 'gone' && change.talk === open) conversation.drop();
    if (change.kind === 'line' && change.talk === open) conversation.keep(change.line);
    if (change.kind === 'talk' && change.talk === open) conversation.showPerson();
    if (change.kind === 'line' && change.isNews) {
      announce(`${change.talk.person.account}: ${change.line.text}`);
      seen();
    }
    people.show(open);
    countUnread();
  });

  byId('me').textContent = session.account;
  byId('back').addEventListener('click', closeTalk);
  byId('recover').addEventListener('click', async () => {
    try {
      await session.recover();
    } catch (error) {
      toastError(error);
      // Only a device with the account key can make a new one of itself.
      const isLinked = isCyphrError(error) && error.code === 'ERR_DEVICE_UNTRUSTED';
      byId('halted-erase').hidden = !isLinked;
      byId('recover').hidden = isLinked;
    }
    showStatus();
  });
  for (const event of ['focus', 'visibilitychange']) window.addEventListener(event, seen, { capture: true });

  byId<HTMLFormElement>('begin').addEventListener('submit', async (event) => {
    event.preventDefault();
    const field = byId<HTMLInputElement>('begin-name');
    const account = field.value.trim().normalize('NFC');
    const complain = (text: string): void => {
      byId('begin-error').textContent = text;
      field.setAttribute('aria-invalid', 'true');
      field.focus();
    };
    byId('begin-error').textContent = '';
    field.removeAttribute('aria-invalid');
    if (account === '') return complain('Type the name of somebody.');
    if (account === session.account) return complain('That is you. Open a second window for somebody else.');
    try {
      const talk = await session.begin(account);
      field.value = '';
      openTalk(talk);
    } catch (error) {
      if (!isCyphrError(error)) throw error;
      complain(error.code === 'ERR_NO_SESSION' ? `There is nobody here called ${account}.` : `${error.message} (${error.code})`);
    }
  });

  setUpRelayPanel(session.relayLog);
  setUpPanels();
  setUpDevice(session);
  people.show(open);
  showStatus();
  countUnread();
  byId('begin-name').focus();
}
