/** What a client does when sessions meet or break, section 5: both sides start at once; a session is lost and its messages are asked for again. */
import { equal, hex, unhex } from './bytes.mjs';
import { must } from './expect.mjs';
import { createGuest, publish } from './guest.mjs';
import { decodeSignedSet } from './objects.mjs';
import { bundleFromHex, startSdk } from './sdk-process.mjs';

/** A client, and this side published beside it; `body` gets what both need. */
async function meeting(seed, body) {
  const sdk = startSdk('sdk-client.ts', 'sdk', 'independent');
  try {
    const guest = createGuest(seed);
    await publish(sdk, guest.device);
    const fetch = async () => bundleFromHex(await sdk.ask('fetch'));
    const bundle = await fetch();
    const set = decodeSignedSet(bundle.signedSet);
    guest.device.learn(bundle);
    const collect = async () => unhex((await sdk.ask('collect')).frame);
    const post = (frame) => sdk.ask('post', { frame: hex(frame) });
    /** The next message of the client that says something to a person. */
    const hearText = async () => {
      for (;;) {
        const said = guest.read(await collect(), set);
        if (said.text !== undefined) return said;
      }
    };
    const tell = async (frame, text) => {
      await post(frame);
      const heard = await sdk.ask('hear');
      must(heard.text === text, `the client showed “${heard.text}”`);
    };
    return await body({ sdk, guest, bundle, fetch, collect, hearText, tell });
  } finally {
    sdk.stop();
  }
}

/** Both start at once: the session with the smaller id becomes active on both sides. */
export const startAtOnce = (seed) =>
  meeting(seed, async ({ sdk, guest, bundle, hearText, tell }) => {
    await sdk.ask('say', { text: 'from there' });
    guest.start(bundle, 1);
    const ours = guest.device.sessions[0];
    const frame = guest.compose('from here', { session: ours });
    const first = await hearText();
    must(first.text === 'from there', 'the first message of the client');
    const theirs = first.session;
    await tell(frame, 'from here');
    const active = Buffer.compare(ours.sessionId, theirs.sessionId) < 0 ? ours : theirs;
    for (const text of ['and', 'so', 'on']) {
      await sdk.ask('say', { text });
      const said = await hearText();
      must(said.text === text && said.session === active, 'a message on the session with the greater id');
      await tell(guest.compose(`${text} here`, { session: active }), `${text} here`);
    }
    return { active: active === ours ? 'this side’s' : 'the SDK’s' };
  });

/** A session that this side has lost: asked for by name, on a new session, its messages come again under the same ids. */
export const healing = (seed) =>
  meeting(seed, async ({ sdk, guest, bundle, fetch, collect, hearText, tell }) => {
    guest.start(bundle, 1);
    await tell(guest.compose('hello'), 'hello');
    const [lost] = guest.device.sessions;
    await sdk.ask('say', { text: 'read' });
    must((await hearText()).text === 'read', 'the message before');
    // These two come and are not understood. Their names are what is known of them: a tag, and n behind the header.
    const texts = ['lost 1', 'lost 2'];
    const [missing, ids] = [[], []];
    for (const [i, text] of texts.entries()) {
      ids.push((await sdk.ask('say', { text })).messageId);
      missing.push({ tag: Buffer.from((await collect()).subarray(4, 20)), n: lost.state.nr + i });
    }
    guest.start(await fetch(), 1, [lost.sessionId]);
    const { sessionId } = guest.device.sessions[1];
    await sdk.ask('post', { frame: hex(guest.control({ t: 'retry', session: lost.sessionId, missing })) });
    const again = [];
    while (again.length < texts.length) {
      const said = await hearText();
      must(equal(said.session.sessionId, sessionId), 'on the session that replaces the lost one');
      must(hex(said.msgId) === ids[again.length], `under another id: ${hex(said.msgId)}, not ${ids[again.length]}`);
      again.push(said.text);
    }
    must(again.join() === texts.join(), `sent again: ${again}`);
    await tell(guest.compose('thanks'), 'thanks');
    return { again: again.length };
  });
