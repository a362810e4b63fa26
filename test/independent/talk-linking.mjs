/** Linking a device live, section 5.1: this side as the new device of the SDK's account, and the SDK as the new device of this side's. */

import { generateParty } from './bundle.mjs';
import { ascii, concat, hex, unhex } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import { createDevice } from './device.mjs';
import { must } from './expect.mjs';
import { publish } from './guest.mjs';
import * as linking from './linking.mjs';
import { compositeSign, decodeIdentity, encodeDeviceList } from './objects.mjs';
import { startSdk } from './sdk-process.mjs';
import { decimalStream } from './streams.mjs';

/** The drop box, which the SDK's process holds. */
const box = (sdk) => ({
  leave: (slot, bytes) => sdk.ask('leave', { slot: hex(slot), bytes: hex(bytes) }),
  pickUp: async (slot) => {
    for (;;) {
      const { bytes } = await sdk.ask('pickUp', { slot: hex(slot) });
      if (bytes !== undefined) return unhex(bytes);
    }
  },
});

async function withSdk(body) {
  const sdk = startSdk('sdk-client.ts', 'sdk', 'independent');
  try {
    return await body(sdk, box(sdk));
  } finally {
    sdk.stop();
  }
}

/** This side is linked to the SDK's account, by the typed code or by the QR code. */
export const joinSdk = (seed, isTyped) =>
  withSdk(async (sdk, { leave, pickUp }) => {
    const random = decimalStream(seed);
    const account = ascii('sdk');
    const { qr, typed } = await sdk.ask('link');
    const code = isTyped ? linking.readTyped(typed.toLowerCase()) : linking.readQr(unhex(qr));
    const { offerSlot, requestSlot } = linking.codeKeys(code.fingerprint);
    const offer = linking.openOffer(code, await pickUp(offerSlot));
    const own = generateParty(account, Date.now(), random);
    const asked = linking.makeRequest(offer, own, random(64));
    await leave(requestSlot, asked.request);
    const { confirmation } = await sdk.ask('request');
    const confirmed = linking.confirm(asked, linking.openChallenge(asked, await pickUp(asked.challengeSlot)));
    must(confirmed.digits === confirmation, `digits ${confirmed.digits}, the SDK shows ${confirmation}`);
    await sdk.ask('confirm');
    const { list, linkedBy } = linking.openAnswer(confirmed, await pickUp(confirmed.slot), own);
    const shown = decodeIdentity(unhex((await sdk.ask('fetch')).identity));
    must(list.devices.length === 2 && list.devices.includes(linkedBy), 'the list names both');
    must(hex(shown.list.tbs) === hex(list.tbs), 'the directory shows the new list');
    return { devices: list.devices.length };
  });

/** A list of both devices, signed by this side's account. */
function listOf(party, asking, random) {
  const { list } = decodeIdentity(party.identity);
  const added = { device: asking.device, deviceKeyHash: crypto.sha512(asking.deviceKey), dhKey: asking.dhKey };
  const devices = [...list.devices, added].sort((a, b) => a.device - b.device);
  const tbs = encodeDeviceList({ ...list, version: list.version + 1, devices });
  return concat(tbs, compositeSign(party.accountSecret, tbs, 'id/list', random(32)));
}

/** The SDK is linked to this side's account. */
export const linkSdk = (seed) =>
  withSdk(async (sdk, { leave, pickUp }) => {
    const random = decimalStream(seed);
    const device = createDevice('independent', Date.now(), random);
    await publish(sdk, device);
    const { account, accountKey } = device.party;
    const [linkSeed, r] = [random(32), random(32)];
    const made = linking.makeOffer(account, linkSeed, r);
    await leave(made.offerSlot, made.offer);
    const joining = sdk.ask('join', { code: made.typed });
    const asked = linking.openRequest(account, linkSeed, await pickUp(made.requestSlot));
    await leave(asked.challengeSlot, linking.makeChallenge(asked, r));
    const { confirmation } = await joining;
    const confirmed = linking.confirm(asked, r);
    must(confirmed.digits === confirmation, `digits ${confirmed.digits}, the SDK shows ${confirmation}`);
    const list = listOf(device.party, asked.asking, random);
    await leave(confirmed.slot, linking.makeGrant(confirmed, { accountKey, device: device.party.device, list }));
    const joined = await sdk.ask('joined');
    must(joined.device === asked.asking.device, 'the device that asked is the one that joined');
    return { confirmation };
  });
