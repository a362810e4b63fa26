import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';

/** A real file system of its own, as small as a test wants it. */
export interface SmallDisk {
  readonly path: string;
  /** Takes all space but about `bytes`, rounded to pages; 0 takes all. Replaces what it took before. */
  leave(bytes: number): void;
  /** Gives all space back. */
  free(): void;
  setReadOnly(isReadOnly: boolean): void;
  unmount(): void;
}

/** Mounts one. Throws where that is not allowed: it takes Linux and a privileged user. */
export function smallDisk(bytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'cyphr-disk-'));
  const ballast = join(path, 'ballast');
  const run = (command: string, ...options: string[]) => execFileSync(command, options, { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  const self: SmallDisk = {
    path,
    leave(freeBytes) {
      self.free();
      const { bavail, bsize } = statfsSync(path);
      const file = openSync(ballast, 'w');
      for (let pages = bavail - Math.ceil(freeBytes / bsize); pages > 0; pages--) writeSync(file, Buffer.alloc(bsize));
      closeSync(file);
    },
    free: () => rmSync(ballast, { force: true }),
    setReadOnly: (isReadOnly) => run('mount', '-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path),
    unmount() {
      run('umount', path);
      rmdirSync(path);
    },
  };
  return self;
}

/** A `describe` for tests on small disks; skipped, and saying so, where none can be mounted. */
export function describeSmallDisks(name: string, body: () => void): void {
  try {
    smallDisk(65_536).unmount();
  } catch {
    // Only a real file system gets full or read-only the way LevelDB meets it, and mounting one takes a privileged user on Linux: elsewhere
    // there is nothing to test on. The gate's machine may mount, so nothing is left out there.
    describe.skip(`${name}: needs a user who may mount a tmpfs`, body);
    return;
  }
  describe(name, body);
}
