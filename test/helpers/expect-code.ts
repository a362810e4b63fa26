import { expect } from 'vitest';
import { type ErrorCode, isCyphrError } from '../../src/errors.js';

/** The code of the error of this library that `run` throws; fails if it returns, or throws anything else. */
export function codeOf(run: () => unknown): ErrorCode {
  try {
    run();
  } catch (error) {
    if (!isCyphrError(error)) throw error;
    return error.code;
  }
  return expect.fail('expected an error') as never;
}
