/**
 * The live talk with a whole client of the SDK, as an application would run it: publishing, the hello, application content, sealed frames, and
 * the login proof. What a client checks before it shows a message, it checks of this side too.
 */
import { concat, equal, hex, u64, unhex } from './bytes.mjs';
import { sha256 } from './crypto.mjs';
import { must } from './expect.mjs';
import { createGuest, publish } from './guest.mjs';
import { compositeVerify, decodeIdentity, decodeLogin, decodeSignedSet } from './objects.mjs';
import { bundleFromHex, startSdk } from './sdk-process.mjs';
import { decimalStream } from './streams.mjs';

/** A conversation of `count` messages; gives { said, heard, sealed, control }. */
export async function talkToClient({ seed, starter, metadata, bandwidth, profile, count }) {
  const sdk = startSdk('sdk-client.ts', 'sdk', 'independent', metadata, bandwidth);
  try {
    const random = decimalStream(`${seed}/order`);
    const guest = createGuest(`${seed}/guest`);
    await publish(sdk, guest.device);
    const bundle = bundleFromHex(await sdk.ask('fetch'));
    const { accountKey, list, deviceKey } = decodeIdentity(bundle.identity);
    const set = decodeSignedSet(bundle.signedSet);
    await checkLogin(sdk, { account: bundle.account, device: bundle.device, deviceKey });
    must(accountKey.length === 1984 && list.devices.length === 1, 'one device');

    const figures = { said: 0, heard: 0, sealed: 0, control: 0 };
    if (starter === 'ours') guest.start(bundle, profile);
    else guest.device.learn(bundle);
    let speaker = starter;
    for (let sent = 0; sent < count; ) {
      const texts = Array.from({ length: 1 + (random(1)[0] % 5) }, (_, i) => `${speaker} ${sent + i} äöü 🙂`);
      sent += texts.length;
      if (speaker === 'ours') figures.said += await say(sdk, guest, texts, random, metadata === 'sealed');
      else figures.heard += await hear(sdk, guest, texts, random, { set, list, figures });
      speaker = speaker === 'ours' ? 'theirs' : 'ours';
    }
    must(metadata === 'tag' || figures.sealed >= figures.heard, 'frames that should have been sealed');
    return { ...figures, epoch: guest.device.sessions[0].state.chains.receiving.epoch };
  } finally {
    sdk.stop();
  }
}

const shuffle = (items, random) =>
  items
    .map((item) => [random(4).readUInt32BE(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);

/** Sends texts out of order; the client must show each. */
async function say(sdk, guest, texts, random, isSealed) {
  const frames = texts.map((text) => guest.compose(text, { isSealed }));
  for (const frame of shuffle(frames, random)) await sdk.ask('post', { frame: hex(frame) });
  const heard = [];
  for (const _ of texts) {
    const message = await sdk.ask('hear');
    must(message.from === 'independent', 'from somebody else');
    heard.push(message.text);
  }
  must(heard.sort().join('|') === [...texts].sort().join('|'), `the client showed ${heard}`);
  return texts.length;
}

/** Has the client send texts, and reads its frames out of order. */
async function hear(sdk, guest, texts, random, { set, list, figures }) {
  for (const text of texts) await sdk.ask('say', { text });
  const missing = new Set(texts);
  while (missing.size > 0) {
    const frames = [];
    while (frames.length < missing.size) frames.push(unhex((await sdk.ask('collect')).frame));
    for (const frame of shuffle(frames, random)) {
      if (frame[0] === 0x01) figures.sealed += 1;
      const { text, control, ownListHash } = guest.read(frame, set);
      must(equal(ownListHash, sha256(list.tbs).subarray(0, 8)), 'the plaintext names another list');
      if (control !== undefined) figures.control += 1;
      must(text === undefined || missing.delete(text), `the client said “${text}”`);
    }
  }
  return texts.length;
}

/** A login proof of the client, for a service that this side plays. */
async function checkLogin(sdk, { account, device, deviceKey }) {
  const nonce = concat(u64(1), u64(2));
  const proof = decodeLogin(unhex((await sdk.ask('prove', { audience: 'independent.example', nonce: hex(nonce) })).proof));
  must(proof.audience.toString() === 'independent.example' && equal(proof.nonce, nonce), 'the proof is of another login');
  must(equal(proof.account, account) && proof.device === device, 'the proof is of another device');
  must(compositeVerify(deviceKey, proof.tbs, 'login', proof.signature), 'signature of the login proof');
}
