/**
 * Both implementations in the same place: a shadow of the SDK's device is made from its seed, gets every frame that the SDK gets, and sends what it
 * sends. Each frame must be the same byte for byte, each verdict the same, while the peer breaks the rules of section 4 behind valid encryption.
 */
import { ascii, hex, unhex } from './bytes.mjs';
import { createDevice } from './device.mjs';
import { must, refusalOf } from './expect.mjs';
import { bundleFromHex, bundleToHex, startSdk } from './sdk-process.mjs';
import { blockStream, decimalStream } from './streams.mjs';
import { NOW } from './talk.mjs';

/** A change of a header that no honest peer makes. Some are refused; some are not, and take the place of the honest message. */
function breakRules(random) {
  const below = (limit) => random(4).readUInt32BE() % limit;
  const off = () => [-2, -1, 1, 2, 3][below(5)];
  const moved = (value, by) => Math.max(value + by, 0);
  const falseChunk = (header) => ({ ...header, chunk: random(header.chunk.length) });
  const changes = [
    falseChunk,
    falseChunk,
    (header) => ({ ...header, pn: moved(header.pn, off()) }),
    (header) => ({ ...header, n: moved(header.n, off()) }),
    (header) => ({ ...header, pqEpoch: moved(header.pqEpoch, off()) }),
    (header) => ({ ...header, pqCtr: moved(header.pqCtr, off()) }),
    (header) => ({ ...header, pqPrev: moved(header.pqPrev, off()) }),
    (header) => ({ ...header, type: below(8) }),
    (header) => ({ ...header, idx: [0, 1, below(65536)][below(3)] }),
    falseChunk,
    (header) => ({ ...header, dh: random(32) }),
    ({ n, pqCtr, ...header }) => {
      const gap = 1 + below(5);
      return { ...header, n: n + gap, pqCtr: pqCtr + gap };
    },
  ];
  return changes[below(changes.length)];
}

/** `rounds` sessions of `count` messages. Gives { frames, taken, refused, epochs }. */
export async function lockstep(seed, rounds = 8, count = 70) {
  const sdk = startSdk('sdk-side.ts', 'sdk', `${seed}/sdk`, String(NOW));
  try {
    const random = decimalStream(seed);
    const chance = (percent) => random(4).readUInt32BE() % 100 < percent;
    const pick = (items) => items.splice(random(4).readUInt32BE() % items.length, 1)[0];
    const shadow = createDevice('sdk', NOW, blockStream(`${seed}/sdk`));
    const own = createDevice('independent', NOW, decimalStream(`${seed}/own`));
    const published = await sdk.ask('bundle', { unit: 0 });
    must(JSON.stringify(bundleToHex(shadow.bundle(0))) === JSON.stringify(published), 'the shadow has other keys');

    const figures = { frames: 0, taken: 0, refused: 0, epochs: 0 };
    /** A frame to the SDK and its shadow. */
    const toBoth = async (frame) => {
      let theirs;
      let ours;
      const theirCode = await refusalOf(sdk.ask('receive', { frame: hex(frame) }).then(({ text }) => (theirs = text)));
      const ourCode = await refusalOf((async () => (ours = shadow.receive(frame).plaintext.toString('utf8')))());
      must(
        theirCode === ourCode && theirs === ours,
        `the SDK: ${theirCode} “${theirs}”, here: ${ourCode} “${ours}”: ${hex(frame.subarray(0, 60))}`,
      );
      figures[theirs === undefined ? 'refused' : 'taken'] += 1;
    };
    const fromBoth = async (text) => {
      const theirs = unhex((await sdk.ask('send', { text })).frame);
      must(hex(shadow.send(ascii(text))) === hex(theirs), `message “${text}” has other bytes`);
      figures.frames += 1;
      return theirs;
    };

    for (let round = 0; round < rounds; round += 1) {
      await sdk.ask('forget');
      for (const { sessions } of [shadow, own]) sessions.length = 0;
      const profile = [3, 1, 3, 2][round % 4];
      const isTheirs = chance(50);
      if (isTheirs) {
        const { sessionId } = await sdk.ask('initiate', { ...bundleToHex(own.bundle(round)), profile });
        must(hex(shadow.start(own.bundle(round), profile)) === sessionId, 'another session');
      } else own.start(bundleFromHex(await sdk.ask('bundle', { unit: round })), profile);
      const underway = [];
      // A side that has not heard of the session yet can't write on it.
      const heard = { own: !isTheirs, both: isTheirs };
      for (let i = 0; i < count; i += 1) {
        const text = `${round} ${i}`;
        const isOwn = heard.own && (!heard.both || chance(50));
        if (isOwn) {
          const broken = [];
          while (chance(30)) broken.push(own.send(ascii(`${text} broken`), { alter: breakRules(random) }));
          underway.push({ to: 'both', frame: own.send(ascii(text)), broken });
        } else underway.push({ to: 'own', frame: await fromBoth(text) });
        if (chance(15)) pick(underway);
        while (underway.length > 4 || (underway.length > 0 && chance(60))) {
          const { to, frame, broken } = pick(underway);
          if (to === 'both') {
            for (const each of broken) await toBoth(each);
            await toBoth(frame);
            if (chance(10)) await toBoth(frame);
            if (shadow.sessions.length > 0) heard.both = true;
          } else {
            // A session that was broken may be of no more use to whoever broke it, who goes on talking.
            await refusalOf((async () => own.receive(frame))());
            if (own.sessions.length > 0) heard.own = true;
          }
        }
      }
      figures.epochs += shadow.sessions[0]?.state.chains.receiving.epoch ?? 0;
    }
    return figures;
  } finally {
    sdk.stop();
  }
}
