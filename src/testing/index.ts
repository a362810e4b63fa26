/**
 * Tools for testing what is built with and for this library: conformance suites for stores, transports and directories, reproducible
 * randomness, and a store that dies on command. Imports no test runner.
 */

export { createTestClient } from './client.js';
export type { ConformanceCase } from './conformance.js';
export { crashingStore } from './crashing-store.js';
export { type DirectoryConformanceSetup, directoryConformance } from './directory-conformance.js';
export { seededRng } from './rng.js';
export { type StoreConformanceSetup, storeConformance } from './store-conformance.js';
export { type TransportConformanceSetup, transportConformance } from './transport-conformance.js';
