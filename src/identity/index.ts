/** Accounts, devices, device lists, login proofs and safety numbers. */

export {
  type AccountKey,
  generateAccountKey,
  keyHash,
  listsUnder,
  signDeviceList,
  type VerifiedDeviceList,
  verifyDeviceList,
} from './account.js';
export {
  type DeviceSecrets,
  decodeDevice,
  encodeDevice,
  entryOf,
  generateDevice,
  generateDeviceKeys,
  identityBytes,
  isListDue,
  relist,
  renewDeviceList,
  replaceDevice,
  underList,
} from './device.js';
export { proveLogin, readOwnLogin, type StoreClaim, verifyLogin } from './login.js';
export { compareSafetyQr, type SafetyComparison, type SafetyIdentity, safetyNumber } from './safety-number.js';
