/**
 * `npm run demo`: a relay and two people as three operating system processes. Each person sends the other a text, line by line. In the
 * middle one person is killed, then the relay, both by SIGKILL, and started again. Then: did both texts arrive whole, in order,
 * nothing twice? A second act is about devices (second-act.ts). And what did the relay get to see? Exit code 1 unless everything holds.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { copyMailboxes, type Stored, search } from './evidence.js';
import { killAll, ROOT, type Running, start } from './processes.js';
import { type Check, secondAct } from './second-act.js';

const PATIENCE_MS = 120_000;
const SHOWN = 6;

interface Person {
  readonly name: string;
  readonly account: string;
  readonly lines: readonly string[];
  readonly data: string;
  readonly text: string;
  process: Running | undefined;
  up: boolean;
  accepted: number;
  got: number;
  done: boolean;
}

const folder = mkdtempSync(join(tmpdir(), 'cyphr-demo-'));
const began = Date.now();
const seconds = (fromMs: number): string => ((Date.now() - fromMs) / 1000).toFixed(1);

function person(name: string, account: string, file: string): Person {
  const text = join(ROOT, 'examples/chat/texts', file);
  const lines = readFileSync(text, 'utf8').trimEnd().split('\n');
  return { name, account, lines, text, data: join(folder, name), process: undefined, up: false, accepted: 0, got: 0, done: false };
}

const alice = person('Alice', 'alice@demo.example', 'declaration.txt');
const bob = person('Bob', 'bob@demo.example', 'poems.txt');
const total = alice.lines.length + bob.lines.length;
const bar = process.stdout.isTTY
  ? new SingleBar({ format: '  {bar} {value}/{total} lines read  {step}', barsize: 20, hideCursor: true, clearOnComplete: true })
  : undefined;

/** Waits for `condition`, looked at after every report of any process. */
let changed: () => void = () => {};
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    const failed = [alice, bob].find(({ process }) => process !== undefined && process.child.exitCode !== null);
    if (failed) throw new Error(`${failed.name}'s process ended by itself\n${failed.process?.errors()}`);
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const steps: string[] = [];
function step(text: string): void {
  steps.push(`  ${seconds(began).padStart(5)} s  ${text}`);
  if (bar) bar.update({ step: text });
  else console.log(steps.at(-1));
}

function run(self: Person, other: Person, relay: string): void {
  Object.assign(self, { up: false, accepted: 0, done: false });
  const options = { account: self.account, to: other.account, relay, data: self.data, text: self.text };
  self.process = start('chat/person.ts', options, (line) => {
    const report = JSON.parse(line) as { event: string; count: number; got: number; error: string };
    if (report.event === 'up') self.up = true;
    if (report.event === 'accepted') self.accepted = report.count;
    if (report.event === 'got') self.got = report.count;
    if (report.event === 'done') self.done = true;
    if (report.event === 'failed') console.error(report.error);
    bar?.update(alice.got + bob.got);
    changed();
  });
}

async function runRelay(port: string): Promise<{ url: string; relay: Running }> {
  let url = '';
  const relay = start('relay/main.ts', { port, data: join(folder, 'relay'), log: 'trace' }, (line) => {
    url = line;
    changed();
  });
  await until('the relay', () => {
    if (relay.child.exitCode !== null) throw new Error(`the relay ended by itself\n${relay.errors()}`);
    return url !== '';
  });
  return { url, relay };
}

/** What a person has written down, in the order of arrival; a message that is there twice is there twice. */
function read({ data }: Person): string[] {
  const path = join(data, 'received.jsonl');
  const whole = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  return whole.map((line) => (JSON.parse(line) as { text: string }).text);
}

const numbered = (lines: readonly string[]): string[] => lines.map((line, i) => `${i + 1} ${line}`);
const column = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text).padEnd(width);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What Alice wrote while Bob was dead, what the relay had on disk for him, and what he read later. */
function showQueue(queue: readonly Stored[], firstQueued: number): void {
  console.log(`\n  ${column('Alice wrote', 31)} ${column('the relay had on its disk', 31)} ${column('Bob read, alive again', 31)}`);
  console.log(`  ${'─'.repeat(31)} ${'─'.repeat(31)} ${'─'.repeat(31)}`);
  const bobRead = read(bob);
  for (let i = 0; i < Math.min(SHOWN, queue.length); i++) {
    const { envelope } = queue[i]!;
    const middle = `${envelope.length} B  ${hex(envelope.subarray(4, 7))}… ${hex(envelope.subarray(-8))}`;
    const n = firstQueued + i;
    console.log(`  ${column(numbered(alice.lines)[n] ?? '', 31)} ${column(middle, 31)} ${column(bobRead[n] ?? '', 31)}`);
  }
  console.log('  (Envelopes of one turn begin alike: the relay can tell that they belong together, not whose they are.)');
}

async function main(): Promise<boolean> {
  console.log(
    `\n  Alice sends ${alice.lines.length} lines of American history, Bob ${bob.lines.length} lines of verse. Three processes, one relay.\n`,
  );
  bar?.start(total, 0, { step: 'starting' });
  step('starting the relay, Alice and Bob');
  mkdirSync(join(folder, 'relay'));
  const first = await runRelay('0');
  const { port } = new URL(first.url);
  run(alice, bob, first.url);
  run(bob, alice, first.url);
  await until('both people', () => alice.up && bob.up);
  const talking = Date.now();
  for (const { process } of [alice, bob]) process!.say('write');

  await until('a third of the text', () => bob.got > alice.lines.length / 3);
  await bob.process!.kill();
  const bobHad = read(bob).length;
  step(`killed Bob (SIGKILL) after ${bobHad} lines`);
  await until('Alice to go on', () => alice.accepted > bobHad + 40);
  await first.relay.kill();
  step(`killed the relay (SIGKILL), ${alice.accepted} lines of Alice accepted`);
  const queue = await copyMailboxes(join(folder, 'relay'), join(folder, 'copy-1'));
  const second = await runRelay(port);
  step('started the relay again on the same folder');
  run(bob, alice, second.url);
  await until('Bob', () => bob.up);
  bob.process!.say('write');
  step('started Bob again on the same folder');
  await until('both texts', () => alice.done && bob.done && alice.got >= bob.lines.length && bob.got >= alice.lines.length);
  const talked = Date.now() - talking;
  step('both texts are there');
  const ended = [await alice.process!.stop('stop'), await bob.process!.stop('stop')];
  const act = await secondAct(second.url, { alice, bob }, join(folder, 'phone'), step);
  bar?.stop();
  if (bar) console.log(steps.join('\n'));

  const codes = [...ended, await second.relay.stop()];
  const left = await copyMailboxes(join(folder, 'relay'), join(folder, 'copy-2'));
  // Bob's mailbox is the one that filled up while he was dead.
  const bobs = queue.filter(({ mailbox }) => mailbox === busiest(queue));
  showQueue(bobs, bobHad);

  const words = [alice.account, bob.account, ...[...alice.lines, ...bob.lines, ...act.words].filter((line) => line.length >= 16)];
  const found = [search(join(folder, 'copy-1'), words), search(join(folder, 'copy-2'), words)];
  const control = search(bob.data, words);
  const logs = first.relay.errors() + second.relay.errors();
  const sizes = bobs.map(({ envelope }) => envelope.length);
  const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((line, i) => line === b[i]);
  const bytes = found.reduce((sum, part) => sum + part.bytes, 0);
  const checks: Check[] = [
    [
      same(read(bob), numbered(alice.lines)),
      `Bob read all ${alice.lines.length} lines, in order, none twice (he had ${bobHad} when he was killed)`,
    ],
    [same(read(alice), numbered(bob.lines)), `Alice read all ${bob.lines.length} lines, in order, none twice`],
    ...act.checks,
    [
      bobs.length > 0,
      `the killed relay had kept ${bobs.length} envelopes for Bob: ${Math.min(...sizes)} to ${Math.max(...sizes)} bytes each`,
    ],
    [
      found.every(({ hits }) => hits === 0) && control.hits > 0,
      `no line and no name in ${Math.round(bytes / 1024)} KiB of relay storage (the same search of Bob's notebook: ${control.hits} hits)`,
    ],
    [
      logs.length > 0 && !words.some((word) => logs.includes(word)),
      `no line and no name in the ${logs.split('\n').length - 1} lines of the relay's log`,
    ],
    [left.length === 0, 'the relay keeps nothing that was read'],
    [codes.every((code) => code === 0), 'all three processes ended properly when asked to'],
  ];
  console.log('');
  for (const [holds, text] of checks) console.log(`  ${holds ? '✓' : '✗'} ${text}`);
  const rate = Math.round(total / (talked / 1000));
  console.log(
    `\n  ${total} lines in ${(talked / 1000).toFixed(1)} s (${rate} a second, two crashes included); ${seconds(began)} s in all.\n`,
  );
  return checks.every(([holds]) => holds);
}

function busiest(queue: readonly Stored[]): string {
  const counts = new Map<string, number>();
  for (const { mailbox } of queue) counts.set(mailbox, (counts.get(mailbox) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}

process.once('SIGINT', () => process.exit(130));
process.once('exit', () => {
  killAll();
  rmSync(folder, { recursive: true, force: true });
});
try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  bar?.stop();
  console.error(error);
  process.exitCode = 1;
} finally {
  killAll();
}
