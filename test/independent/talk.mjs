/**
 * The live talk: this implementation and the SDK, two processes, over a network that loses, delays, repeats and damages what they send. Every
 * message that arrives must say what its sender said; what is repeated or damaged must be refused; afterwards all goes on.
 */
import { ascii, hex, unhex } from './bytes.mjs';
import { createDevice } from './device.mjs';
import { must, refusalOf } from './expect.mjs';
import { bundleFromHex, bundleToHex, startNativeSdk, startSdk } from './sdk-process.mjs';
import { decimalStream } from './streams.mjs';

export const NOW = 1_767_225_600_000;

/** Both sides behind the same three functions; all bytes are Buffers. */
export function sides(seed, sdk) {
  const device = createDevice('independent', NOW, decimalStream(`${seed}/device`));
  return {
    ours: {
      device,
      start: async (profile, unit) => hex(device.start(bundleFromHex(await sdk.ask('bundle', { unit })), profile)),
      send: async (text) => device.send(ascii(text)),
      receive: async (frame) => device.receive(frame).plaintext.toString('utf8'),
    },
    theirs: {
      start: async (profile, unit) => (await sdk.ask('initiate', { ...bundleToHex(device.bundle(unit)), profile })).sessionId,
      send: async (text) => unhex((await sdk.ask('send', { text })).frame),
      receive: async (frame) => (await sdk.ask('receive', { frame: hex(frame) })).text,
    },
  };
}

/**
 * One session of `count` messages. `starter` is 'ours' or 'theirs', `unit` the one-time unit or undefined. The SDK
 * starts sessions on the platform's primitives, and answers on its portable ones. Gives figures:
 * { sent, read, lost, repeated, damaged, epochs }.
 */
export async function talk({ seed, starter, profile, unit, count }) {
  const start = starter === 'theirs' ? startNativeSdk : startSdk;
  const sdk = start('sdk-side.ts', 'sdk', `${seed}/sdk`, String(NOW));
  try {
    const both = sides(seed, sdk);
    const random = decimalStream(`${seed}/network`);
    const chance = (percent) => random(4).readUInt32BE() % 100 < percent;
    const pick = (items) => items.splice(random(4).readUInt32BE() % items.length, 1)[0];
    const other = { ours: 'theirs', theirs: 'ours' };
    const figures = { sent: 0, read: 0, lost: 0, repeated: 0, damaged: 0, epochs: 0 };
    await both[starter].start(profile, unit);

    const canSend = { [starter]: true };
    const underway = [];
    const deliver = async ({ to, frame, text, number }) => {
      if (chance(10)) {
        const damaged = Buffer.from(frame);
        // Behind type, version and suite, whose faults have codes of their own: any byte will do.
        damaged[4 + (random(4).readUInt32BE() % (damaged.length - 4))] ^= 1 + (random(1)[0] % 255);
        const code = await refusalOf(both[to].receive(damaged));
        must(['ERR_DECRYPT', 'ERR_NO_SESSION', 'ERR_KEY_GONE'].includes(code), `a damaged frame gave ${code}`);
        figures.damaged += 1;
      }
      const said = await both[to].receive(frame);
      must(said === text, `message ${number} came as “${said}”`);
      figures.read += 1;
      canSend[to] = true;
      if (chance(5)) {
        const code = await refusalOf(both[to].receive(frame));
        must(['ERR_DUPLICATE', 'ERR_NO_SESSION'].includes(code), `a repeated frame gave ${code}`);
        figures.repeated += 1;
      }
    };

    let speaker = starter;
    for (let number = 0; number < count; number += 1) {
      if (chance(60)) speaker = other[speaker];
      if (!canSend[speaker]) speaker = starter;
      const text = `${number} ${'·'.repeat(random(1)[0] * (chance(10) ? 20 : 1))}`;
      const frame = await both[speaker].send(text);
      figures.sent += 1;
      if (chance(15)) figures.lost += 1;
      else underway.push({ to: other[speaker], frame, text, number });
      while (underway.length > 0 && (underway.length > 8 || chance(50))) await deliver(pick(underway));
    }
    for (const envelope of underway) await deliver(envelope);
    must(figures.read === figures.sent - figures.lost, 'not everything was read');

    const { sending, receiving } = await sdk.ask('epochs');
    const { chains } = both.ours.device.sessions[0].state;
    must(Math.abs(sending - chains.receiving.epoch) <= 1 && Math.abs(receiving - chains.sending.epoch) <= 1, 'epochs apart');
    figures.epochs = Math.min(sending, receiving);
    return figures;
  } finally {
    sdk.stop();
  }
}
