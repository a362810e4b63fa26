import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { startRelay } from '../../examples/relay/relay.js';
import { createClient } from '../../src/index.js';
import { memoryStore } from '../../src/store/memory.js';
import { relay as network } from '../../src/transport/websocket.js';
import { headersSeen } from './header-watch.js';

/** What a child process does until it dies. */
export interface ChildPlan {
  readonly path: string;
  readonly url: string;
  /** `steps`: opens, sends one message, receives one, closes. `load`: sends and receives without end. */
  readonly mode: 'steps' | 'load';
  /** Number of the first message that it sends; sending one again is no second message. */
  readonly from: number;
  /** The store call at which it dies, counted from 1; with `what`, only calls of that name count. */
  readonly killAt?: { readonly call: number; readonly side: 'before' | 'after'; readonly what?: string | undefined } | undefined;
}

/** Everything that was promised, and everything that came. */
export interface CrashReport {
  lives: number;
  kills: number;
  /** Lives that ended before the client was open. */
  killedOpening: number;
  /** Alice was told that these are stored, or accepted. */
  readonly sent: Set<number>;
  /** What Bob was shown, by id. */
  readonly bobGot: Map<string, string>;
  /** What Bob was told is stored. */
  bobSent: number;
  readonly aliceGot: Map<string, string>;
  /** Violations, in words: there must be none. */
  readonly wrong: string[];
  /** Envelopes that Bob could not read, by code. */
  readonly undecryptable: string[];
}

/** Alice, who lives in processes that are killed, and Bob, who is here, on a real relay. */
export interface CrashRun {
  readonly report: CrashReport;
  /** One life of Alice in which she is killed at a store call; answers what calls she made, and whether she came to its end. */
  step(killAt: ChildPlan['killAt']): Promise<{ readonly calls: readonly string[]; readonly isDone: boolean }>;
  /** One life under load, killed so many milliseconds after it began to open its store. */
  load(killAfterMs: number): Promise<void>;
  /**
   * One life under load until Bob has read `count` messages more, while `rivals` other processes, one after the other, try to live on the
   * same directory. Answers what they said on their standard error.
   */
  rivals(count: number, rivals: number): Promise<readonly string[]>;
  /** One life that is not killed, until everything that was promised is there. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

// The one whose paths are those of Node.
const TSX_TSCONFIG_PATH = fileURLToPath(new URL('../../examples/tsconfig.json', import.meta.url));
/** How long everything that was promised may take: what is lost never comes. */
const PATIENCE_MS = 120_000;
const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));

export async function crashRun(): Promise<CrashRun> {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-crash-'));
  const limits = { sendsPerMinute: 1e6, receivedPerMinute: 1e6, challengesPerMinute: 1e6, readsPerMinute: 1e6, takesPerHour: 1e6 };
  const relay = await startRelay({ data: join(folder, 'relay'), limits, logLevel: 'silent' });
  const bob = await createClient({ account: 'bob', store: memoryStore(), ...network(relay.url) });
  const report: CrashReport = {
    lives: 0,
    kills: 0,
    killedOpening: 0,
    sent: new Set(),
    bobGot: new Map(),
    bobSent: 0,
    aliceGot: new Map(),
    wrong: [],
    undecryptable: [],
  };
  const aliceAcked = new Set<string>();
  const bobTexts = new Set<string>();
  const children = new Set<ChildProcess>();
  let changed = (): void => {};
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };

  const answer = async (): Promise<void> => {
    const n = report.bobSent + 1;
    report.bobSent = n;
    await bob.send('alice', `b${n}`, { key: `b${n}` });
  };
  bob.on('undecryptable', ({ code }) => report.undecryptable.push(code));
  let isLoaded = false;
  const bobReads = bob.subscribe(async (message) => {
    if (report.bobGot.has(message.id)) report.wrong.push(`bob was shown ${message.text} twice`);
    else if (bobTexts.has(message.text)) report.wrong.push(`two messages say ${message.text}`);
    report.bobGot.set(message.id, message.text);
    bobTexts.add(message.text);
    if (isLoaded) await answer();
    changed();
  });

  /** Runs one process; `onLine` hears what it says. Resolves with the signal that ended it. */
  function live(plan: Omit<ChildPlan, 'path' | 'url' | 'from'>, onLine: (word: string, child: ChildProcess) => void): Promise<string> {
    let from = 1;
    while (report.sent.has(from)) from++;
    const full: ChildPlan = { ...plan, from, path: join(folder, 'alice'), url: relay.url };
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, JSON.stringify(full)], {
      env: { ...process.env, TSX_TSCONFIG_PATH },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    children.add(child);
    let errors = '';
    let isUp = false;
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.stdin.on('error', () => {}); // it may be dead already
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      const [word = '', what = '', text = ''] = line.split(' ');
      if (word === 'up') isUp = true;
      if (word === 'sent' || word === 'accepted') report.sent.add(Number(what));
      if (word === 'got') {
        if (aliceAcked.has(what)) report.wrong.push(`alice was shown ${text} again after she had acknowledged it`);
        report.aliceGot.set(what, text);
      }
      if (word === 'acked') aliceAcked.add(what);
      if (word === 'undecryptable') report.wrong.push(`alice could not read a message: ${what}`);
      onLine(line, child);
      changed();
    });
    report.lives++;
    return new Promise((resolve, reject) => {
      child.on('close', (code, signal) => {
        children.delete(child);
        if (signal !== 'SIGKILL' && code !== 0) reject(new Error(`the process ended by itself (${code}): ${errors}`));
        if (signal === 'SIGKILL') report.kills++;
        if (!isUp) report.killedOpening++;
        resolve(signal ?? 'exit');
      });
    });
  }

  return {
    report,
    async step(killAt) {
      const calls: string[] = [];
      const end = await live({ mode: 'steps', killAt }, (line) => {
        const [word, what] = line.split(' ');
        if (word === 'call') calls.push(what!);
        if (word === 'accepted') void answer();
      });
      return { calls, isDone: end === 'exit' };
    },
    async load(killAfterMs) {
      isLoaded = true;
      let timer: ReturnType<typeof setTimeout> | undefined;
      await live({ mode: 'load' }, (line, child) => {
        if (line === 'start') timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
      });
      clearTimeout(timer);
    },
    async rivals(count, rivals) {
      isLoaded = true;
      const target = report.bobGot.size + count;
      let [isUp, isQuiet] = [false, false];
      const running = live({ mode: 'load' }, (line) => {
        isUp ||= line === 'up';
        isQuiet ||= line === 'quiet';
      });
      const [child] = children;
      const said: string[] = [];
      const refused = async (): Promise<void> => {
        await until(() => isUp);
        for (let rival = 0; rival < rivals; rival++) {
          await until(() => report.bobGot.size > target - count + (rival * count) / rivals);
          said.push(await live({ mode: 'load' }, () => {}).catch((error: Error) => error.message));
        }
        await until(() => report.bobGot.size >= target);
        child!.stdin!.write('quiet\n');
        await until(() => isQuiet);
        child!.stdin!.write('stop\n');
      };
      await Promise.all([refused(), running]);
      return said;
    },
    async settle() {
      let isQuiet = false;
      isLoaded = false;
      const running = live({ mode: 'load' }, (line, child) => {
        if (line === 'up') child.stdin!.write('quiet\n');
        if (line === 'quiet') isQuiet = true;
      });
      // Shown, not acknowledged: of what a process acknowledged just before it was killed, nobody was told.
      const all = (): boolean => isQuiet && [...report.sent].every((n) => bobTexts.has(`a${n}`)) && report.aliceGot.size >= report.bobSent;
      const [child] = children;
      const patience = setTimeout(() => child!.kill(), PATIENCE_MS);
      await Promise.race([
        until(all),
        running.then(() => {
          throw new Error('alice ended before everything was there');
        }),
      ]).finally(() => clearTimeout(patience));
      child!.stdin!.write('stop\n');
      await running;
    },
    async close() {
      for (const child of children) child.kill('SIGKILL');
      await bob.close();
      await bobReads;
      await relay.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Everything that was promised is there, once, and nothing else; to be called when all has settled. */
export function checkCrashRun({ report }: CrashRun): void {
  expect(report.wrong).toEqual([]);
  expect(report.undecryptable).toEqual([]);
  expect([...report.bobGot.values()].sort()).toEqual([...report.sent].map((n) => `a${n}`).sort());
  expect([...report.aliceGot.values()].sort()).toEqual(Array.from({ length: report.bobSent }, (_, i) => `b${i + 1}`).sort());
  const { count, twice } = headersSeen();
  expect(twice).toEqual([]);
  expect(count).toBeGreaterThanOrEqual(report.bobGot.size);
}
