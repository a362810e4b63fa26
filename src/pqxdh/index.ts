/** The handshake, for protocol people: pure synchronous steps over opaque state. */

export { type DeviceSecrets, generateDevice } from '../identity/device.js';
export type { Address, BundleBytes, DeviceKeys, Rng, SessionSecrets, Step } from '../step.js';
export { type VerifiedBundle, verifyBundle } from './bundle.js';
export { accept, initiate } from './handshake.js';
export { generatePrekeys, type PrekeyState } from './prekeys.js';
