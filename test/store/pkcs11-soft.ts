/** Real tokens for tests: SoftHSM 2 with a private folder, for this process and the ones that it starts. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Pkcs11 from 'pkcs11js';

export const PIN = 'user-pin-3141';
const SO_PIN = 'officer-pin-2718';
const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so', '/opt/homebrew/lib/softhsm/libsofthsm2.so'];
export const MODULE = MODULES.find((path) => existsSync(path)) ?? MODULES[0]!;

/** The package as CommonJS has it, to look into tokens past the code under test. */
export const loadPkcs11 = (): typeof Pkcs11 => createRequire(import.meta.url)('pkcs11js');

/** What is missing to run these tests; `undefined` if nothing is. */
export function missingForTokens(): string | undefined {
  if (!existsSync(MODULE)) return 'SoftHSM 2 is not installed (Debian, Ubuntu: apt-get install softhsm2)';
  try {
    execFileSync('softhsm2-util', ['--version']);
  } catch {
    return 'softhsm2-util is not installed (Debian, Ubuntu: apt-get install softhsm2)';
  }
  try {
    loadPkcs11();
  } catch {
    return 'pkcs11js is not compiled (bash scripts/ci-install.sh; needs a C++ compiler, make and Python)';
  }
  return undefined;
}

export interface SoftTokens {
  /** Makes a token with this label and `PIN`. */
  init(label: string): void;
  /** Runs `use` in a session of the package, past the code under test: logged in, or with everything left as it is. */
  inside<T>(label: string, use: (library: Pkcs11.PKCS11, session: Buffer, pkcs11: typeof Pkcs11) => T): T;
  /** Removes the folder and all tokens. */
  remove(): void;
}

/** An empty folder for tokens; SoftHSM in this process and in children uses it from now on. */
export function softTokens(): SoftTokens {
  const folder = mkdtempSync(join(tmpdir(), 'cyphr-tokens-'));
  mkdirSync(join(folder, 'tokens'));
  const config = join(folder, 'softhsm2.conf');
  writeFileSync(config, `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  process.env['SOFTHSM2_CONF'] = config;
  return {
    init(label) {
      const pins = ['--pin', PIN, '--so-pin', SO_PIN];
      execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { stdio: ['ignore', 'ignore', 'pipe'] });
    },

    inside(label, use) {
      const pkcs11 = loadPkcs11();
      const library = new pkcs11.PKCS11();
      library.load(MODULE);
      library.C_Initialize();
      try {
        const slot = library.C_GetSlotList(true).find((each) => library.C_GetTokenInfo(each).label.trimEnd() === label)!;
        const session = library.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
        library.C_Login(session, pkcs11.CKU_USER, PIN);
        return use(library, session, pkcs11);
      } finally {
        library.C_Finalize();
      }
    },

    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
