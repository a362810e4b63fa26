/**
 * ts-mls, as a subject to measure: a group of two, cipher suite X-Wing with AES-256-GCM and Ed25519, which its README begins with.
 * MLS has no ratchet per message: application messages come from a hash chain, and keys are renewed by commits only, none of which
 * `pingPong` makes unless `commits` is set, then with every turn.
 */
import * as mls from 'ts-mls';

const SUITE = 'MLS_256_XWING_AES256GCM_SHA512_Ed25519';
const text = (value) => new TextEncoder().encode(value);
const encode = (wireformat, name, value) => mls.encodeMlsMessage({ version: 'mls10', wireformat, [name]: value });
const decode = (bytes) => mls.decodeMlsMessage(bytes, 0)[0];

export default async function subject({ message, commits = false }) {
  const suite = await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(SUITE));
  const config = {
    // By default it keeps 10 keys and goes 200 forward.
    keyRetentionConfig: { ...mls.defaultKeyRetentionConfig, retainKeysForGenerations: 1_000, maximumForwardRatchetSteps: 1_000 },
    lifetimeConfig: mls.defaultLifetimeConfig,
    keyPackageEqualityConfig: mls.defaultKeyPackageEqualityConfig,
    paddingConfig: mls.defaultPaddingConfig,
    authService: mls.defaultAuthenticationService,
  };
  const keyPackage = (identity) =>
    mls.generateKeyPackage(
      { credentialType: 'basic', identity: text(identity) },
      mls.defaultCapabilities(),
      mls.defaultLifetime,
      [],
      suite,
    );

  function sideOf(start) {
    let state = start;
    const take = ({ newState, consumed }) => {
      state = newState;
      consumed.forEach(mls.zeroOutUint8Array);
    };
    const process = async (bytes) => {
      const result = await mls.processPrivateMessage(state, decode(bytes).privateMessage, mls.emptyPskIndex, suite);
      take(result);
      return result.message;
    };
    return {
      async seal() {
        let commit;
        if (commits) {
          const made = await mls.createCommit({ state, cipherSuite: suite });
          take(made);
          commit = mls.encodeMlsMessage(made.commit);
        }
        const sent = await mls.createApplicationMessage(state, message, suite);
        take(sent);
        return { commit, bytes: encode('mls_private_message', 'privateMessage', sent.privateMessage) };
      },
      async open({ commit, bytes }) {
        if (commit !== undefined) await process(commit);
        return process(bytes);
      },
      save: () => mls.encodeGroupState(state),
      load: (saved) => {
        // A decoded state is made of views, and used keys are overwritten.
        state = { ...mls.decodeGroupState(saved.slice(), 0)[0], clientConfig: config };
      },
    };
  }

  const publish = ({ publicPackage }) => encode('mls_key_package', 'keyPackage', publicPackage);
  const bundleBytes = publish(await keyPackage('bob')).length;

  return {
    async meet() {
      const [alice, bob] = [await keyPackage('alice'), await keyPackage('bob')];
      const published = publish(bob);
      return async () => {
        const group = await mls.createGroup(text('group'), alice.publicPackage, alice.privatePackage, [], suite, config);
        const add = { proposalType: 'add', add: { keyPackage: decode(published).keyPackage } };
        const { newState, welcome, consumed } = await mls.createCommit(
          { state: group, cipherSuite: suite },
          { extraProposals: [add], ratchetTreeExtension: true },
        );
        consumed.forEach(mls.zeroOutUint8Array);
        const flight = encode('mls_welcome', 'welcome', welcome);
        const initiator = sideOf(newState);
        const first = await initiator.seal();
        const joined = await mls.joinGroup(
          decode(flight).welcome,
          bob.publicPackage,
          bob.privatePackage,
          mls.emptyPskIndex,
          suite,
          undefined,
          undefined,
          config,
        );
        const responder = sideOf(joined);
        await responder.open(first);
        return { initiator, responder, first: { ...first, flight } };
      };
    },
    wireBytes: ({ flight, commit, bytes }) => bytes.length + (commit?.length ?? 0) + (flight?.length ?? 0),
    // A commit that is missing can't be skipped.
    ...(!commits && { storedBytes: (bytes) => bytes.length }),
    bundleBytes,
  };
}
