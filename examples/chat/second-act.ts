/**
 * The second act of `npm run demo`, over the same relay and on the stores of the first: Alice links another device, Bob compares safety
 * numbers, a session is broken on purpose and mends, and the device is removed again. Everything that is claimed was looked at.
 */

import { join } from 'node:path';
import { type Client, type ClientEvent, createClient, joinAccount, type Message } from '@cyphr/e2ee';
import { nodeStore } from '@cyphr/e2ee/store/node';
import { relay } from '@cyphr/e2ee/transport/websocket';
import { breaker, DAMAGED_COUNT } from '../breaking.js';

const PATIENCE_MS = 30_000;

/** What holds, or does not, in a sentence. */
export type Check = readonly [holds: boolean, text: string];

export interface SecondAct {
  readonly checks: readonly Check[];
  /** What was written, to be looked for at the relay. */
  readonly words: readonly string[];
}

interface Person {
  readonly account: string;
  readonly data: string;
}

/** A client, what it has received, and what it has said. */
interface Device {
  readonly client: Client;
  readonly got: Message[];
  readonly events: ClientEvent[];
}

let changed: () => void = () => {};

function watched(client: Client): Device {
  const device: Device = { client, got: [], events: [] };
  for (const type of ['devicesChanged', 'undecryptable', 'sessionEstablished', 'status', 'sent'] as const) {
    client.on(type, (event) => {
      device.events.push(event);
      changed();
    });
  }
  client
    .subscribe((message) => {
      device.got.push(message);
      changed();
    })
    .catch(() => {}); // a removed device ends so
  return device;
}

/** Waits for `condition`, looked at after every event and message. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const texts = ({ got }: Device, from?: Client): string[] =>
  got.filter((message) => from === undefined || message.from.device === from.device).map(({ text }) => text);

/** Plays it. `step` tells how far it is. */
export async function secondAct(
  url: string,
  people: { readonly alice: Person; readonly bob: Person },
  phoneFolder: string,
  step: (text: string) => void,
): Promise<SecondAct> {
  const checks: Check[] = [];
  const words: string[] = [];
  const open = (who: Person): Promise<Client> =>
    createClient({ account: who.account, store: nodeStore(join(who.data, 'store')), ...relay(url) });
  const write = async (from: Client, to: string, text: string): Promise<void> => {
    words.push(text);
    await (await from.send(to, text)).until('accepted');
  };
  const [laptop, bob] = (await Promise.all([open(people.alice), open(people.bob)])).map(watched) as [Device, Device];
  const alice = people.alice.account;
  const devices: Device[] = [laptop, bob];
  try {
    // Two people compare, and know from then on that nobody is in between.
    const [hers, his] = await Promise.all([
      laptop.client.contact(bob.client.account).safetyNumber(),
      bob.client.contact(alice).safetyNumber(),
    ]);
    await his.confirmDigits();
    checks.push([hers.digits === his.digits, `both saw the safety number ${his.digits.slice(0, 17)} …, and Bob marked Alice as verified`]);
    step('Bob compared safety numbers with Alice');

    const linking = await laptop.client.devices.link();
    const breaking = breaker();
    const [joining, request] = await Promise.all([
      joinAccount({ account: alice, store: nodeStore(phoneFolder), code: linking.typed, ...breaking.watch(relay(url)) }),
      linking.request(),
    ]);
    // A person compares these on two screens.
    if (joining.confirmation === request.confirmation) await request.confirm();
    const phone = watched(await joining.client());
    devices.push(phone);
    checks.push([joining.confirmation === request.confirmation, `Alice linked a phone: both devices showed ${joining.confirmation}`]);
    step('Alice linked a phone');

    const kept = ['Bob, last week: lunch on Friday, at noon?', 'Alice, last week: gladly, see you there.'];
    words.push(...kept);
    await laptop.client.devices.sendHistory(
      request.device,
      kept.map((text) => new TextEncoder().encode(text)),
    );
    const moved = (): string[] =>
      phone.got
        .flatMap(({ content }) => (content.kind === 'history' ? content.records : []))
        .map((record) => new TextDecoder().decode(record));
    await until('the conversations of before', () => moved().length === kept.length);
    checks.push([
      kept.every((text, i) => moved()[i] === text),
      'what her laptop had kept of earlier conversations is on the phone, in order',
    ]);
    step('the laptop sent its history to the phone');

    await write(phone.client, bob.client.account, 'This is Alice, from her new phone.');
    await until('the first message of the phone', () => bob.got.length > 0 && laptop.got.length > 0);
    const [first] = bob.got as [Message];
    checks.push([
      first.from.device === phone.client.device && first.trust === 'verified' && texts(laptop, phone.client).length === 1,
      'Bob read what it wrote as from the verified Alice, and so did her laptop as her own',
    ]);
    await write(bob.client, alice, 'Hello to both of your devices, Alice.');
    await until('the answer on both', () => [laptop, phone].every((device) => texts(device, bob.client).length === 1));
    const readers = [laptop, phone].filter((device) => texts(device, bob.client).length === 1);
    checks.push([readers.length === 2, 'Bob answered once, and both of her devices read it, once']);

    breaking.begin('out', bob.client.account);
    const damaged = Array.from({ length: DAMAGED_COUNT }, (_, i) => `Line ${i + 1} of those that were damaged on their way.`);
    for (const text of damaged) await write(phone.client, bob.client.account, text);
    step(`damaged ${DAMAGED_COUNT - breaking.left()} messages on their way: a broken session`);
    await until('the session to mend', () => damaged.every((text) => texts(bob).includes(text)));
    const trouble = bob.events.find((event) => event.type === 'undecryptable');
    const diagnosis = await bob.client.diagnose(trouble?.reference);
    const again = texts(bob, phone.client).slice(1);
    checks.push([
      breaking.left() === 0 &&
        again.length === damaged.length &&
        damaged.every((text) => again.includes(text)) &&
        diagnosis.facts['healed'] === 'yes',
      `${damaged.length} damaged messages broke a session (${diagnosis.cause}): it mended by itself, and Bob read each of them once`,
    ]);
    step('the session has mended');

    await laptop.client.devices.revoke(phone.client.device);
    await until('Bob to hear of it', () => bob.events.some((event) => event.type === 'devicesChanged' && event.removed.length === 1));
    await write(bob.client, alice, 'For the laptop alone, and for no phone.');
    await until('the laptop to read it', () => texts(laptop, bob.client).length === 2);
    await until('the phone to stop', () => phone.client.status.state === 'halted');
    checks.push([
      texts(phone, bob.client).length === 1,
      'Alice removed the phone: it stopped, and what Bob wrote then reached her laptop alone',
    ]);
    step('Alice removed the phone');
  } finally {
    for (const { client } of devices) await client.close();
  }
  return { checks, words };
}
