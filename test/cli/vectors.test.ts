/** `vectors verify`, in the process of the test and in one of its own. */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { VectorsReport } from '../../src/cli/vectors.js';
import { runCommand } from './run.js';

const OWN = fileURLToPath(new URL('../../test-vectors/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cyphr-vectors-'));
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, json: unknown): void => writeFileSync(join(folder, name), JSON.stringify(json));
const verify = async (place: string): Promise<{ code: number; report: VectorsReport }> => {
  const { code, out, err } = await runCommand('vectors', 'verify', place, '--json');
  expect(err).not.toMatch(/\n {4}at /);
  return { code, report: JSON.parse(out) };
};

/** RFC 4231 section 4.2, as ACVP would ask for it. */
const MAC = 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7';
const acvp = (members: object) => ({
  algorithm: 'HMAC-SHA2-256',
  revision: '2.0',
  testGroups: [{ tgId: 1, tests: [{ tcId: 1, ...members }] }],
});

test('own files, others, and what is not for us', async () => {
  mkdirSync(join(folder, 'good', 'acvp'), { recursive: true });
  copyFileSync(join(OWN, 'padding.json'), join(folder, 'good', 'padding.json'));
  write('good/acvp/prompt.json', [{ acvVersion: '1.0' }, acvp({ key: '0B'.repeat(20), msg: '4869205468657265' })]);
  write('good/acvp/expectedResults.json', [{ acvVersion: '1.0' }, acvp({ mac: MAC.toUpperCase() })]);
  write('good/aes.json', { algorithm: 'ACVP-AES-GCM', revision: '1.0', testGroups: [{ tests: [{ tcId: 1 }, { tcId: 2 }] }] });
  write('good/other.json', { schema: 'of somebody', kind: 'else' });
  const { code, report } = await verify(join(folder, 'good'));
  const cases = JSON.parse(readFileSync(join(OWN, 'padding.json'), 'utf8')).cases.length;
  expect(code).toBe(0);
  expect(report).toMatchObject({ ok: true, passed: cases + 1, failed: 0, foreign: 2 });
  expect(report.files.map(({ file, kind, passed }) => [file, kind, passed])).toEqual([
    ['acvp/expectedResults.json', undefined, 0],
    ['acvp/prompt.json', 'ACVP HMAC-SHA2-256', 1],
    ['aes.json', 'ACVP ACVP-AES-GCM', 0],
    ['other.json', undefined, 0],
    ['padding.json', 'padding', cases],
  ]);
  const text = await runCommand('vectors', 'verify', join(folder, 'good'));
  expect(text.code).toBe(0);
  expect(text.out).toMatch(/^ok +padding\.json +padding +\d+ of \d+$/m);
  expect(text.out).toMatch(/^ +-- +aes\.json .* not for us \(2\)$/m);
});

test('one wrong digit ends with 1 and names the case', async () => {
  mkdirSync(join(folder, 'bad'), { recursive: true });
  const file = JSON.parse(readFileSync(join(OWN, 'header.json'), 'utf8'));
  const at = file.cases.findIndex((each: { outputs?: Record<string, unknown> }) =>
    Object.values(each.outputs ?? {}).some((value) => typeof value === 'string'),
  );
  const { id, outputs } = file.cases[at];
  const [name, value] = Object.entries(outputs).find(([, each]) => typeof each === 'string' && /^[0-9a-f]{8,}$/.test(each)) as [
    string,
    string,
  ];
  outputs[name] = (value.startsWith('0') ? '1' : '0') + value.slice(1);
  write('bad/header.json', file);
  writeFileSync(join(folder, 'bad', 'cut-off.json'), '{"schema": "cyphr-vec');
  write('bad/strange.json', { ...file, kind: 'of tomorrow' });
  write('bad/prompt.json', acvp({ key: '', msg: '' }));
  const { code, report } = await verify(join(folder, 'bad'));
  expect(code).toBe(1);
  expect(report).toMatchObject({ ok: false, passed: file.cases.length - 1, failed: 4 });
  const failed = report.files.flatMap(({ file: where, failed: those }) => those.map(({ id: which }) => [where, which]));
  expect(failed).toEqual([
    ['cut-off.json', 'file'],
    ['header.json', id],
    ['prompt.json', 'file'],
    ['strange.json', 'file'],
  ]);
  const text = await runCommand('vectors', 'verify', join(folder, 'bad', 'header.json'));
  expect(text.code).toBe(1);
  expect(text.out).toMatch(/^FAIL .*header\.json/m);
  expect(text.out).toContain(`      ${id}: `);
});

test('a case tells no line of its own, and a result counts wherever it stands', async () => {
  mkdirSync(join(folder, 'flipped'));
  const file = JSON.parse(readFileSync(join(OWN, 'skipped-keys.json'), 'utf8'));
  const [first, ...others] = file.cases;
  const id = 'a: failed\n\n9999 passed, 0 failed, 0 not for us, in 35 of 35 files\nok    x';
  write('flipped/steps.json', { ...file, cases: [{ ...first, id, result: 'invalid', code: 'ERR_DECRYPT' }, ...others] });
  const padding = JSON.parse(readFileSync(join(OWN, 'padding.json'), 'utf8'));
  const valid = padding.cases.find(({ result }: { result: string }) => result === 'valid');
  write('flipped/padding.json', { ...padding, cases: [{ ...valid, result: 'vaild' }] });
  const { code, out } = await runCommand('vectors', 'verify', join(folder, 'flipped'));
  expect(code).toBe(1);
  expect(out).toMatch(/^ {6}a: failed\\u000a\\u000a9999 passed, .*: session: /m);
  expect(out).toMatch(new RegExp(`^ {6}${valid.id}: `, 'm'));
  expect(out.match(/^.* passed, .* failed, .*$/gm)).toEqual([
    expect.stringContaining('a: failed'),
    `${others.length} passed, 2 failed, 0 not for us, in 2 of 2 files`,
  ]);
});

test.runIf(existsSync('/dev/null') && spawnSync('mkfifo', ['--help']).status === 0)('what is no file is not waited for', async () => {
  mkdirSync(join(folder, 'pipes'));
  copyFileSync(join(OWN, 'padding.json'), join(folder, 'pipes', 'padding.json'));
  for (const name of ['fifo.json', 'expectedResults.json']) spawnSync('mkfifo', [join(folder, 'pipes', name)]);
  symlinkSync('/dev/zero', join(folder, 'pipes', 'zero.json'));
  write('pipes/prompt.json', acvp({ key: '', msg: '' }));
  const { code, report } = await verify(join(folder, 'pipes'));
  expect(code).toBe(1);
  expect(report.files.flatMap(({ file, failed }) => failed.map(({ why }) => [file, why]))).toEqual(
    ['expectedResults.json', 'fifo.json', 'prompt.json', 'zero.json'].map((name) => [name, expect.stringContaining('no file')]),
  );
});

test('nothing to play, no folder, and a command that is half typed', async () => {
  mkdirSync(join(folder, 'empty'), { recursive: true });
  const empty = await runCommand('vectors', 'verify', join(folder, 'empty'));
  expect([empty.code, empty.err]).toEqual([1, expect.stringContaining('nothing to play')]);
  expect((await runCommand('vectors', 'verify', join(folder, 'missing'))).code).toBe(1);
  const half = await runCommand('vectors');
  expect([half.code, half.err]).toEqual([2, expect.stringContaining('did you mean vectors verify?')]);
  expect((await runCommand('vectors', 'verify', folder, 'more')).code).toBe(2);
});
