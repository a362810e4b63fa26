/** Operations of the vectors of linking. Each does its device's part from the start; names are those of the file. */
import { ascii, concat, equal, need, Refused, unhex } from './bytes.mjs';
import * as crypto from './crypto.mjs';
import * as links from './linking.mjs';
import { anyFault } from './vectors-objects.mjs';

/** The code as it was read: typed, where that is given, else from the QR code. */
const codeOf = ({ qr, typed, account }) =>
  anyFault('ERR_ARGUMENT', () => {
    if (typed !== undefined) return links.readTyped(typed);
    const code = links.readQr(unhex(qr));
    need(equal(code.account, ascii(account)), 'ERR_ARGUMENT', 'a code of another account');
    return code;
  });
const entryOf = ({ device, deviceKey, dhKey }) => ({ device, keyHash: crypto.sha512(deviceKey), dhKey });

/** The new device, up to its request. */
function newDevice(inputs) {
  const own = { account: ascii(inputs.account), device: inputs.device, deviceKey: unhex(inputs.deviceKey), dhKey: unhex(inputs.dhKey) };
  const offer = links.openOffer({ ...codeOf(inputs), account: own.account }, unhex(inputs.offer));
  return { own, asked: links.makeRequest(offer, own, unhex(inputs.requestRandom)) };
}
/** What the old device draws: the X-Wing seed, then r. */
const drawnOf = ({ offerRandom }) => crypto.split(unhex(offerRandom), 32, 32);
/** The old device, up to the request, and what it confirms. */
function oldDevice(inputs) {
  const [seed, r] = drawnOf(inputs);
  const opened = links.openRequest(ascii(inputs.account), seed, unhex(inputs.request));
  return { opened, r, confirmed: links.confirm(opened, r) };
}
const shown = ({ digits, key, nonce, refusalNonce, slot }) => ({
  ...{ confirmation: digits, grantSlot: slot, answerKeys: concat(key, nonce, refusalNonce) },
});
const confirmAsNew = (inputs) => {
  const { own, asked } = newDevice(inputs);
  return { own, confirmed: links.confirm(asked, links.openChallenge(asked, unhex(inputs.challenge))) };
};
/** What lies in a slot and does not open, or is none of what it should be, is one fault; another account than the own one is the code's. */
const oneFault = (operation) => (inputs) => {
  try {
    return operation(inputs);
  } catch (error) {
    throw error instanceof Refused && error.code !== 'ERR_ARGUMENT' ? new Refused('ERR_DECRYPT', error.message) : error;
  }
};

export const linking = {
  offer: (inputs) => {
    const [seed, drawn] = drawnOf(inputs);
    return { seed, drawn, ...links.makeOffer(ascii(inputs.account), seed, drawn) };
  },
  code: (inputs) => {
    const { fingerprint } = codeOf(inputs);
    const { offerSlot, requestSlot } = links.codeKeys(fingerprint);
    return { fingerprint, offerSlot, requestSlot };
  },
  request: oneFault((inputs) => {
    const { request, commitment, challengeSlot, ss } = newDevice(inputs).asked;
    return { request, commitment, challengeSlot, secret: ss };
  }),
  challenge: oneFault((inputs) => {
    const { opened, r, confirmed } = oldDevice(inputs);
    const challenge = links.makeChallenge(opened, r);
    return { entry: entryOf(opened.asking), challengeSlot: opened.challengeSlot, challenge, ...shown(confirmed) };
  }),
  confirm: oneFault((inputs) => shown(confirmAsNew(inputs).confirmed)),
  grant: (inputs) => {
    const granted = { accountKey: unhex(inputs.accountKey), device: inputs.oldDevice, list: unhex(inputs.deviceList) };
    return { answer: links.makeGrant(oldDevice(inputs).confirmed, granted) };
  },
  refuse: (inputs) => ({ answer: links.makeRefusal(oldDevice(inputs).confirmed) }),
  answer: (inputs) => {
    const { own, confirmed } = confirmAsNew(inputs);
    const answer = anyFault('ERR_DECRYPT', () => links.openAnswer(confirmed, unhex(inputs.answer), own));
    if (answer === undefined) throw new Refused('ERR_DEVICE_UNTRUSTED', 'a refusal');
    const { accountKey, list, linkedBy } = answer;
    const { device, deviceKeyHash, dhKey } = linkedBy;
    return { accountKey, listVersion: list.version, linkedBy: { device, keyHash: deviceKeyHash, dhKey } };
  },
};
