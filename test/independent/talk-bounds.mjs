/** The bounds of section 4.8, live: which late messages the SDK can still read, and which it has given up, to the message. */
import { must, refusalOf } from './expect.mjs';
import { startSdk } from './sdk-process.mjs';
import { NOW, sides } from './talk.mjs';

/** A session in profile 3 in which both have heard of each other: `body` gets this side, which sends, and the SDK, which receives. */
async function session(seed, body) {
  const sdk = startSdk('sdk-side.ts', 'sdk', `${seed}/sdk`, String(NOW));
  try {
    const { ours: from, theirs: to } = sides(seed, sdk);
    await from.start(3, undefined);
    must((await to.receive(await from.send('first'))) === 'first', 'the first message');
    must((await from.receive(await to.send('answer'))) === 'answer', 'the answer');
    return await body(from, to);
  } finally {
    sdk.stop();
  }
}

/** `count` frames of `side`, by number. */
async function frames(side, count) {
  const out = [];
  for (let n = 0; n < count; n += 1) out.push(await side.send(String(n)));
  return out;
}
async function reads(to, sent, n) {
  const said = await to.receive(sent[n]);
  must(said === String(n), `message ${n} came as “${said}”`);
}
async function givenUp(to, sent, n, code = 'ERR_DUPLICATE') {
  const got = await refusalOf(to.receive(sent[n]));
  must(got === code, `message ${n} gave ${got}, not ${code}`);
}

/** 1,000 keys of one gap, 2,000 of the session: the oldest go. */
export const gaps = (seed) =>
  session(seed, async (from, to) => {
    const sent = await frames(from, 2603);
    await reads(to, sent, 1100);
    await givenUp(to, sent, 99);
    await reads(to, sent, 100);
    // 999 are left of the first gap. With 1,000 and 500 more, 499 of them go.
    await reads(to, sent, 2101);
    await reads(to, sent, 2602);
    await givenUp(to, sent, 599);
    await reads(to, sent, 600);
    await reads(to, sent, 2601);
    return { sent: sent.length };
  });

/** 128 old chains with messages that are missing: the oldest goes whole. */
export const chains = (seed) =>
  session(seed, async (from, to) => {
    const missing = [];
    for (let round = 0; round < 130; round += 1) {
      missing.push(await from.send(String(round)));
      await to.receive(await from.send('now'));
      await from.receive(await to.send('yes'));
    }
    await givenUp(to, missing, 0, 'ERR_NO_SESSION');
    await reads(to, missing, 1);
    await reads(to, missing, 129);
    return { chains: missing.length };
  });

/** A key goes with the 4,001st message that is received after the one that revealed its gap; late ones count. */
export const lifetime = (seed) =>
  session(seed, async (from, to) => {
    const sent = await frames(from, 4003);
    await reads(to, sent, 3);
    for (let n = 4; n < 4003; n += 1) await reads(to, sent, n);
    // 3,999 since then; these late ones are the 4,000th and the 4,001st.
    await reads(to, sent, 1);
    await reads(to, sent, 2);
    await givenUp(to, sent, 0, 'ERR_DUPLICATE');
    return { sent: sent.length };
  });
