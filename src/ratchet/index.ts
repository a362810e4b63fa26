/**
 * The ratchet for protocol people: `@cyphr/e2ee/ratchet`. No chain, header or message key is exported, and no counter can be set.
 */

export type { Rng, SessionSecrets, Step } from '../step.js';
export { acceptRatchet, decodeState, decrypt, encodeState, encrypt, initiateRatchet, type RatchetState } from './ratchet.js';
