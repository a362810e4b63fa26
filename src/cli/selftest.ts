/** `selftest`: whether the library gives the right answers on this machine. */

import { type SelftestReport, selftest } from '@cyphr/e2ee/selftest';
import type { Given } from './commands.js';
import { progressBar, say } from './terminal.js';

/** Runs the self-test; `false` if something is wrong. */
export async function runSelftest({ json: isJson = false }: Given): Promise<boolean> {
  let bar: ReturnType<typeof progressBar> | undefined;
  const report = await selftest({
    progress(_, total, name) {
      bar ??= progressBar(total, isJson);
      bar.next(name);
    },
  });
  bar?.stop();
  if (isJson) say(JSON.stringify(report));
  else for (const line of linesOf(report)) say(line);
  return report.ok;
}

function* linesOf({ tests, backend, ms, seed, ok }: SelftestReport): Generator<string> {
  const failed = tests.filter((test) => !test.ok).length;
  for (const { group, name, ok: isRight, count, ms: took, why } of tests) {
    yield `${isRight ? 'ok  ' : 'FAIL'}  ${group.padEnd(12)}  ${name.padEnd(18)}  ${String(count).padStart(4)}  ${took} ms${why === undefined ? '' : `  ${why}`}`;
  }
  yield '';
  for (const { operation, by, why } of backend) yield `${operation.padEnd(26)}  ${by.padEnd(10)}  ${why}`;
  yield '';
  yield `${ok ? 'all is well' : `${failed} FAILED`}: ${tests.length} tests, ${ms} ms, seed ${seed}`;
}
