/** `npx @cyphr/e2ee` as somebody types it: in a process of its own, with a passphrase from a file or a terminal. */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/bytes.js';
import { verifyRootStatement } from '../../src/identity/root.js';
import { flip } from '../helpers/rng.js';
import { BOUND, env, pipeCommand, ROOT, runCommand as run, SOURCE } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'cyphr-command-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const PASSPHRASE = 'correct horse';
const IDENTITY = '5c'.repeat(64);
const SIGN = ['sign-account', '--account', 'alice', '--identity', IDENTITY, '--passphrase-file', at('passphrase')];
writeFileSync(at('passphrase'), `${PASSPHRASE}\nand what stands below\n`);
writeFileSync(at('wrong'), 'incorrect horse\n');
writeFileSync(at('empty'), '\n');

const trace = /\n {4}at /;

test('--help', async () => {
  for (const words of [['--help'], ['sign-account', '-h']]) {
    const { code, out, err } = await run(...words);
    expect([code, err]).toEqual([0, '']);
    for (const command of ['inspect', 'keygen-root', 'sign-account', 'verify-statement']) expect(out).toContain(`\n${command} `);
  }
});

test.each([
  [[], 'which command?'],
  [['keygen'], 'there is no command keygen'],
  [['keygen-root'], 'keygen-root needs --out'],
  [['keygen-root', '--out', at('x'), '--passphrase', PASSPHRASE], "Unknown option '--passphrase'"],
  [['keygen-root', '--out', at('x'), '--version', '1'], 'keygen-root takes no --version'],
  [['keygen-root', '--out', at('x'), 'more'], 'keygen-root takes no more'],
  [['keygen-root', '--out', at('x')], 'no terminal to ask for the passphrase'],
  [['keygen-root', '--out', at('x'), '--passphrase-file', at('empty')], 'passphrase must be'],
  [['keygen-root', '--out', at('wrong')], 'is there already'],
  [['verify-statement', '--organisation', at('wrong')], 'needs a statement'],
  [['verify-statement', '--organisation', at('wrong'), at('wrong')], 'organisation must be 96 hexadecimal digits'],
  [[...SIGN, '--key', at('wrong'), '--out', at('x'), '--identity', 'ab'], 'identity must be 128 hexadecimal digits'],
  [[...SIGN, '--key', at('wrong'), '--out', at('x'), '--account', ''], 'account must have 1 to 64 bytes'],
  [[...SIGN, '--key', at('wrong'), '--out', at('x'), '--account', 'e\u0301'], 'NFC'],
  [[...SIGN, '--key', at('wrong'), '--out', at('x'), '--version', '0'], 'version must be a number'],
  [[...SIGN, '--key', at('wrong'), '--out', at('x'), '--version', '9007199254740992'], 'version must be a number'],
])('typed wrong: %j', async (words, said) => {
  const { code, out, err } = await run(...words);
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain(said);
  expect(err).toContain('--help');
  expect(err).not.toMatch(trace);
  expect(existsSync(at('x'))).toBe(false);
});

describe('inspect', () => {
  const frame = `20010001${'ab'.repeat(16 + 24 + 104 + 32 + 528)}`;
  writeFileSync(at('frame.bin'), Buffer.from(frame, 'hex'));
  writeFileSync(at('frame.json'), JSON.stringify({ frame, key: '5a'.repeat(32) }));

  test('a file, a text, standard input, a JSON', async () => {
    const piped = await pipeCommand(Buffer.from(frame, 'hex'), 'inspect', '-');
    const [file, text, json] = [await run('inspect', at('frame.bin')), await run('inspect', frame), await run('inspect', at('frame.json'))];
    for (const { code, out, err } of [file, text, json]) {
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/^ *44 +104 +headerCiphertext +(?:ab){24}… \(of a session of profile 2\)$/m);
    }
    expect(piped).toEqual(file);
    expect(json.out).toContain('\nframe\nratchet message');
    expect(json.out).not.toContain('5a5a');
  });

  test('--json is the same as data', async () => {
    const { code, out } = await run('inspect', frame, '--json');
    const { found, unknown } = JSON.parse(out);
    expect([code, unknown, found.length]).toEqual([0, 0, 1]);
    expect(found[0].explanation).toMatchObject({ kind: 'ratchet message', section: '1.4', lengthBytes: 708 });
    expect(found[0].explanation.parts[3]).toEqual({ name: 'tag', offset: 4, lengthBytes: 16, value: 'ab'.repeat(16) });
  });

  test('what somebody else wrote gives the terminal no orders', async () => {
    const account = Buffer.from('\u001b[2J\u009b1m\u202egnp.exe\n WRONG\u2028\r!');
    const qr = Buffer.concat([Buffer.from([1, 0, account.length]), account, Buffer.alloc(32, 7)]);
    for (const words of [
      ['inspect', qr.toString('hex')],
      ['inspect', qr.toString('hex'), '--json'],
    ]) {
      const { code, out } = await run(...words);
      expect(code).toBe(0);
      expect(out).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(out).toMatch(/\\u001b\[2J\\u009b1m\\u202egnp\.exe(?:\\u000a|\\n) WRONG\\u2028\\(?:u000d|r)!/);
      expect(out).not.toMatch(/^ WRONG/m);
    }
  });

  test('what is damaged or unknown ends with 1', async () => {
    const damaged = await run('inspect', frame.slice(0, 100));
    expect([damaged.code, damaged.out]).toEqual([1, expect.stringContaining('WRONG at byte 44: headerCiphertext')]);
    const unknown = await run('inspect', 'abcd');
    expect([unknown.code, unknown.out, unknown.err]).toEqual([1, '', expect.stringContaining('nothing that is known')]);
    const missing = await run('inspect', at('missing.bin'));
    expect([missing.code, missing.out, missing.err]).toEqual([1, '', expect.stringContaining('no such file')]);
    writeFileSync(at('zeros'), new Uint8Array(3_000_000));
    expect((await run('inspect', at('zeros'))).err).toMatch(/^nothing that is known/);
  });
});

test('a key, a statement, and what is refused', { timeout: 120_000 }, async () => {
  const made = await run('keygen-root', '--out', at('root.key'), '--passphrase-file', at('passphrase'));
  expect([made.code, made.err]).toEqual([0, '']);
  expect(statSync(at('root.key')).mode & 0o777).toBe(0o600);
  const text = readFileSync(at('root.key.pub'), 'utf8');
  expect(text).toMatch(/^[0-9a-f]{96}\n$/);
  const rootKey = fromHex(text.trim())!;
  const key = readFileSync(at('root.key'));
  expect(key.length).toBeLessThan(300);

  const signed = await run(...SIGN, '--key', at('root.key'), '--version', '7', '--out', at('alice.bin'));
  expect([signed.code, signed.err]).toEqual([0, '']);
  const statement = readFileSync(at('alice.bin'));
  const { account, accountKeyHash, version } = verifyRootStatement(new Uint8Array(statement), rootKey);
  expect([account, toHex(accountKeyHash), version]).toEqual(['alice', IDENTITY, 7]);

  const verify = (path: string) => run('verify-statement', '--organisation', at('root.key.pub'), path);
  const shown = await verify(at('alice.bin'));
  expect([shown.code, shown.err]).toEqual([0, '']);
  expect(shown.out).toMatch(new RegExp(`^account +"alice"\\nidentity +${IDENTITY}\\nversion +7\\nissued +20`));

  const [explained, explainedKey] = [await run('inspect', at('alice.bin')), await run('inspect', at('root.key'))];
  expect([explained.code, explainedKey.code]).toEqual([0, 0]);
  expect(explained.out).toMatch(new RegExp(`^RootStatement, [^]*account +alice[^]*accountKeyHash +${IDENTITY.slice(0, 48)}…`));
  expect(explainedKey.out).toMatch(new RegExp(`^root key, encrypted, [^]*publicKey +${text.slice(0, 48)}…[^]*box +112 bytes, not shown`));

  writeFileSync(at('forged.bin'), flip(new Uint8Array(statement), 100));
  writeFileSync(at('damaged.key'), flip(new Uint8Array(key)));
  writeFileSync(at('relabelled.key'), flip(new Uint8Array(key), 20));
  const sign = (name: string, passphrase = 'passphrase') =>
    run(...SIGN, '--key', at(name), '--passphrase-file', at(passphrase), '--out', at('none.bin'));
  for (const [{ code, out, err }, said] of [
    [await verify(at('forged.bin')), 'root statement did not verify (ERR_SIGNATURE)'],
    [await verify(at('root.key')), 'ERR_SIGNATURE'],
    [await verify(at('missing.bin')), 'ENOENT'],
    [await sign('root.key', 'wrong'), 'the passphrase does not open this key (ERR_STORE_KEY)'],
    [await sign('relabelled.key'), 'ERR_STORE_KEY'],
    [await sign('damaged.key'), 'ERR_STORE_CORRUPT'],
    [await sign('alice.bin'), 'ERR_STORE_CORRUPT'],
    [await sign('missing.key'), 'ENOENT'],
  ] as const) {
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(said);
    expect(err).not.toMatch(trace);
  }
  expect(existsSync(at('none.bin'))).toBe(false);

  const again = await run('keygen-root', '--out', at('root.key'), '--passphrase-file', at('passphrase'));
  expect([again.code, readFileSync(at('root.key')).equals(key)]).toEqual([2, true]);

  // T39: neither the passphrase nor what it protects is ever shown.
  const said = [made, signed, shown, again].map(({ out, err }) => out + err).join('');
  expect(said).not.toContain(PASSPHRASE);
});

describe.runIf(spawnSync('script', ['--version'], BOUND).status === 0)('on a terminal', () => {
  /** Answers each question once it is asked; everything that stood on the terminal. */
  function type(words: readonly string[], answers: readonly (readonly [question: string, answer: string])[]) {
    const command = [process.execPath, ...SOURCE, ...words].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: ROOT, env, ...BOUND });
    const open = [...answers];
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      if (open.length > 0 && shown.includes(open[0]![0])) child.stdin.write(open.shift()![1]);
    });
    return new Promise<{ code: number | null; shown: string }>((resolve) => child.on('close', (code) => resolve({ code, shown })));
  }

  test('T39: a new passphrase is asked for twice, and not shown', { timeout: 60_000 }, async () => {
    const words = ['keygen-root', '--out', at('typed.key')];
    const differ = await type(words, [
      ['New passphrase: ', 'one thing\r'],
      ['The same again: ', 'another\r'],
    ]);
    expect(differ.code).toBe(1);
    expect(differ.shown).toContain('the two passphrases differ');
    const cancelled = await type(words, [['New passphrase: ', '\u0003']]);
    expect(cancelled.code).toBe(1);
    expect(cancelled.shown).toContain('cancelled');
    expect(existsSync(at('typed.key'))).toBe(false);
    const made = await type(words, [
      ['New passphrase: ', 'one thing\r'],
      ['The same again: ', 'one thing\r'],
    ]);
    expect(made.code).toBe(0);
    expect(existsSync(at('typed.key'))).toBe(true);
    for (const { shown } of [differ, cancelled, made]) expect(shown).not.toMatch(/one thing|another/);
  });
});
