/**
 * A whole client of the SDK for the live talk, on a network in memory whose other guest is this folder's implementation. Answers requests on
 * stdin, one JSON line each, on stdout; bytes are hexadecimal. Like sdk-side.ts it is the SDK's side: nothing else here imports it.
 */

import { createInterface } from 'node:readline';
import { createClient, type Joining, joinAccount, type Linking, type LinkRequest, type Login, type Message } from '@cyphr/e2ee';
import { memoryStore } from '@cyphr/e2ee/store/memory';
import { memoryNetwork } from '@cyphr/e2ee/transport/memory';

const [, , account = 'sdk', guestAccount = 'independent', metadata = 'tag', bandwidth = 'standard'] = process.argv;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'hex'));

type Fields = Readonly<Record<string, string | number | undefined>>;
const text = (fields: Fields, name: string): string => String(fields[name] ?? '');

const network = memoryNetwork();
let login: Login | undefined;
const client = await createClient({
  account,
  store: memoryStore(),
  directory: network.directory,
  transport: (own) => {
    login = own;
    return network.transport(own);
  },
  metadata: metadata as 'tag' | 'sealed',
  bandwidth: bandwidth as 'lean' | 'standard' | 'wide',
});

// The memory network keeps a login's proof and doesn't read it.
const guest = (device: number): Login => ({ address: { account: guestAccount, device }, prove: async () => new Uint8Array(16) });
let guestDevice = 0;
let mail: AsyncIterator<{ readonly bytes: Uint8Array; ack(): Promise<void> }>;
let post: (bytes: Uint8Array) => Promise<void>;

const inbox: AsyncIterator<Message> = client.messages()[Symbol.asyncIterator]();

let linking: Linking | undefined;
let request: LinkRequest | undefined;
let joining: Joining | undefined;

const HANDLERS: Readonly<Record<string, (fields: Fields) => Promise<Fields>>> = {
  publish: async (fields) => {
    guestDevice = Number(fields['device']);
    const own = guest(guestDevice);
    const batch = {
      id: text(fields, 'batchId'),
      head: unhex(text(fields, 'batch')),
      entries: text(fields, 'entries').split(',').map(unhex),
    };
    const keys = { address: own.address, identity: unhex(text(fields, 'identity')), signedSet: unhex(text(fields, 'signedSet')), batch };
    await network.directory(own).publish(keys);
    const transport = network.transport(own);
    mail = transport.deliveries()[Symbol.asyncIterator]();
    post = (bytes) => transport.send({ account: client.account, device: client.device }, bytes);
    return {};
  },
  fetch: async () => {
    const [bundle] = await network.directory(guest(guestDevice)).fetch(client.account);
    const { address, identity, signedSet, oneTime } = bundle!;
    const unit = oneTime && { batch: hex(oneTime.head), entry: hex(oneTime.entry) };
    return { ...address, identity: hex(identity), signedSet: hex(signedSet), ...unit };
  },
  prove: async ({ audience, nonce }) => ({ proof: hex(await login!.prove({ audience: String(audience), nonce: unhex(String(nonce)) })) }),
  say: async (fields) => ({ messageId: (await client.send(guestAccount, text(fields, 'text'))).id }),
  post: async (fields) => {
    await post(unhex(text(fields, 'frame')));
    return {};
  },
  collect: async () => {
    const { value } = await mail.next();
    await value.ack();
    return { frame: hex(value.bytes) };
  },
  hear: async () => {
    const { value } = await inbox.next();
    await value.ack();
    return { text: value.text, from: value.from.account, device: value.from.device };
  },
  leave: async (fields) => {
    await network.directory(guest(guestDevice)).leave!(text(fields, 'slot'), unhex(text(fields, 'bytes')));
    return {};
  },
  pickUp: async (fields) => {
    const bytes = await network.directory(guest(guestDevice)).pickUp!(text(fields, 'slot'));
    return { bytes: bytes && hex(bytes) };
  },
  link: async () => {
    linking = await client.devices.link();
    return { qr: hex(linking.qr), typed: linking.typed };
  },
  request: async () => {
    request = await linking!.request();
    return { confirmation: request.confirmation };
  },
  confirm: async () => {
    await request!.confirm();
    return {};
  },
  join: async (fields) => {
    joining = await joinAccount({ account: guestAccount, store: memoryStore(), ...network, code: text(fields, 'code') });
    return { confirmation: joining.confirmation };
  },
  joined: async () => {
    const joined = await joining!.client();
    const { device } = joined;
    await joined.close();
    return { device };
  },
};

// Requests may overlap: who joins an account waits for what others leave in the drop box meanwhile.
for await (const line of createInterface({ input: process.stdin })) {
  const { op, id, ...fields } = JSON.parse(line) as Fields & { op: string };
  HANDLERS[op]!(fields).then((answer) => process.stdout.write(`${JSON.stringify({ ...answer, id })}\n`));
}
await client.close();
process.exit();
