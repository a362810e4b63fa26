/** Encryption at rest, as a decorator of any store. */

export {};
