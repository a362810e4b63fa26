/** A durable store for browsers on IndexedDB. */

export {};
