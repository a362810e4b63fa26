import { expect } from 'vitest';

/** Matches a `UsageError` with this code, about this argument. */
export function usage(code: string, field?: string): unknown {
  return expect.objectContaining({ name: 'UsageError', code, action: 'fix', ...(field === undefined ? {} : { field }) });
}

/** Matches an error of ours by its code. */
export function coded(code: string): unknown {
  return expect.objectContaining({ code });
}
