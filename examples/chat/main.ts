/**
 * `npm run chat -- alice`: a chat in the terminal.
 *
 * What is typed goes to the person named by `--to` or `/to`. Everything that an application must do is here: keep the account in a
 * store, show what comes and then acknowledge it, and let a person decide when somebody's identity changes.
 */

import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type Client, createClient, isCyphrError, joinAccount, type LinkRequest, type SafetyNumber } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { speakPlainly, TypedWrong } from '../command-line.js';

const HELP = `  /to NAME     write to NAME from now on
  /safety      the safety number with that person: compare it by voice, or face to face
  /verify      you have compared it, and it is the same
  /accept      go on unverified with the changed identity that /safety showed
  /devices     the devices of this account; /remove NUMBER takes one out
  /link        link another device, which is started with --join; /confirm or /refuse it
  /quit`;

const RELAY = 'ws://127.0.0.1:8787';
speakPlainly(`npm run chat -- NAME [--to NAME] [--join CODE] [--relay ${RELAY}] [--data .demo/NAME]
${HELP}`);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    to: { type: 'string', default: '' },
    relay: { type: 'string', default: process.env['RELAY'] ?? RELAY },
    data: { type: 'string' },
    join: { type: 'string' },
  },
});
const [account] = positionals;
if (account === undefined) throw new TypedWrong('Under which name?');
let to = values.to;

/** Prints a line above the one that is being typed. */
function show(text: string): void {
  process.stdout.write(`\r\x1b[K${text}\n`);
  screen.prompt(true);
}
function showError(error: unknown): void {
  if (!isCyphrError(error)) throw error;
  show(`  ! ${error.message} (${error.code})`);
}
function setTo(name: string): void {
  to = name;
  screen.setPrompt(to === '' ? '> ' : `to ${to} > `);
}

const folder = values.data ?? join('.demo', encodeURIComponent(account));
async function open(name: string): Promise<Client> {
  try {
    const options = { account: name, store: nodeStore(folder), ...relay(values.relay) };
    if (values.join === undefined) return await createClient(options);
    const joining = await joinAccount({ ...options, code: values.join });
    console.log(`  Does the other device show ${joining.confirmation}? Then type /confirm there, else /refuse.`);
    return await joining.client();
  } catch (error) {
    console.error(isCyphrError(error) ? `${error.message} (${error.code})` : error);
    process.exit(1);
  }
}
const client = await open(account);

// After the client: what is typed while it opens must not be lost.
const screen = createInterface({ input: process.stdin, output: process.stdout });
let connection = '';
client.on('status', ({ status }) => {
  if (status.state === connection) return;
  connection = status.state;
  if (status.state === 'halted') showError(status.error);
  else show(`  ${status.state}`);
});
client.on('identityChanged', ({ account: whose }) => {
  show(`  ! The identity of ${whose} has changed: they have begun anew under this name, or somebody is in between.`);
  show('  ! A device that was linked or recovered does not do that. Nothing goes there until you decide:');
  show(`  ! /to ${whose}, then /safety, and compare the number with them: then /verify. Or /accept.`);
});
client.on('undecryptable', ({ from = 'somebody', heals }) => {
  show(`  ! a message from ${from} could not be read (${heals === 'by-itself' ? 'this heals by itself' : 'ask them to send it again'})`);
});

client.on('devicesChanged', ({ account: whose, added, removed, refused }) => {
  for (const [what, devices] of Object.entries({
    'has linked': added,
    'has removed': removed,
    'is shown without its signature with': refused,
  }))
    if (devices.length > 0) show(`  ${whose} ${what} device ${devices.join(', ')}`);
});
client.on('sessionEstablished', ({ address, reason }) => {
  if (reason === 'healed') show(`  the session with ${address.account} has mended`);
});

client
  .subscribe((message) => {
    if (message.from.account === account && message.conversation.kind === 'person')
      return show(`  you, on another device, to ${message.conversation.account}: ${message.text}`);
    const mark = { verified: '✓', vouched: '✓', unverified: ' ', changed: '!' }[message.trust];
    show(`${new Date(message.sentAtMs).toLocaleTimeString()} ${mark} ${message.from.account}: ${message.text}`);
  })
  .catch(showError);

async function send(text: string): Promise<void> {
  if (to === '') {
    show(`  ! Not sent: nobody is chosen yet.\n${HELP}`);
    return;
  }
  const sent = await client.send(to, text);
  sent.until('accepted').catch(showError);
}

/** As one word of a shell. */
function quoted(word: string): string {
  return /^[\w.:/@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

let asking: LinkRequest | undefined;
async function link(): Promise<void> {
  const linking = await client.devices.link();
  const words = [client.account, '--data', 'SOME/FOLDER', '--join', linking.typed];
  if (values.relay !== RELAY) words.push('--relay', values.relay);
  show(`  On the other device: npm run chat -- ${words.map(quoted).join(' ')}`);
  asking = await linking.request();
  show(`  Does the new device show ${asking.confirmation}? /confirm or /refuse`);
}
async function devices(name: string, argument: string): Promise<void> {
  if (name === 'link') return link();
  if (name === 'remove') await client.devices.revoke(Number(argument));
  else if (name !== 'devices') {
    if (asking === undefined) return show('  ! No device is asking.');
    await (name === 'confirm' ? asking.confirm() : asking.reject());
    asking = undefined;
    return;
  }
  for (const { device, self } of await client.devices.list()) show(`  device ${device}${self ? ', this one' : ''}`);
}

/** The numbers that were shown, by account: only such a one can have been compared. */
const numbers = new Map<string, SafetyNumber>();
async function safety(name: string, whose: string): Promise<void> {
  if (name === 'safety') numbers.set(whose, await client.contact(whose).safetyNumber());
  const number = numbers.get(whose);
  if (number === undefined) return show(`  ! Type /safety first, and compare the number with ${whose}.`);
  if (name === 'safety') return show(`  ${number.digits}`);
  await (name === 'verify' ? number.confirmDigits() : number.accept());
  show(`  ${whose} is ${(await client.contact(whose).identity()).trust}`);
}

async function command(name: string, argument: string): Promise<void> {
  if (name === 'to') return setTo(argument);
  if (name === 'quit') return screen.close();
  if (['devices', 'remove', 'link', 'confirm', 'refuse'].includes(name)) return devices(name, argument);
  if (!['safety', 'verify', 'accept'].includes(name)) return show(HELP);
  return to === '' ? show(`  ! Nobody is chosen yet.\n${HELP}`) : safety(name, to);
}

setTo(to);
show(`  ${account}, device ${client.device}, by ${values.relay}. /help for commands`);
screen.on('line', (line) => {
  const [, name, argument = ''] = /^\/(\w+)\s*(.*)$/.exec(line) ?? [];
  const done = name === undefined ? (line.trim() === '' ? undefined : send(line)) : command(name, argument.trim());
  (done ?? Promise.resolve()).catch(showError).finally(() => screen.prompt());
});
screen.on('close', () => client.close().then(() => process.exit(0)));
