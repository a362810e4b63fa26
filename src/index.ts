/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Cyphr SDK: end-to-end encryption that a quantum computer won't undo.
 *
 * @packageDocumentation
 */

export { createClient } from './client/client.js';
export { eraseStore } from './client/erasure.js';
export { joinAccount } from './client/join.js';
export { type ExportOptions, exportAccount, type ImportOptions, importAccount } from './client/transfer.js';
export type * from './client/types.js';
export {
  type Action,
  type AnyCyphrError,
  AuthError,
  CyphrError,
  DecodeError,
  type ErrorCode,
  InternalError,
  isCyphrError,
  ReplayError,
  StoreError,
  TransportError,
  TrustError,
  UsageError,
} from './errors.js';
export { type ProvenAccount, type StoreClaim, verifyLogin } from './identity/login.js';
export { limits } from './limits.js';
export type { Address, BundleBytes, DeviceKeys, Now, Rng } from './step.js';
export type { ErasureReport, KeySlot, Store, StoreKey, StoreRecord, Write } from './store/port.js';
export type { Bound, Delivery, Directory, Login, Network, Transport } from './transport/port.js';
