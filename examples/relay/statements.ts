/**
 * What an organisation has signed about accounts, from a folder that somebody fills: `ACCOUNT.bin`, the account percent-encoded as in
 * `encodeURIComponent`, so that no name reaches out of the folder. Clients verify what is in it.
 */

import { access, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** No statement is longer. */
const STATEMENT_BYTES = 16_422;

export type Statements = (account: string) => Promise<Buffer | undefined>;

/** Reads from `folder`, which must be there; without one nobody is vouched for. Files may come and change while the relay runs. */
export async function openStatements(folder: string | undefined): Promise<Statements> {
  if (folder === undefined) return async () => undefined;
  await access(folder);
  return async (account) => {
    const path = join(folder, `${encodeURIComponent(account)}.bin`);
    try {
      const { size } = await stat(path);
      return size === 0 || size > STATEMENT_BYTES ? undefined : await readFile(path);
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return undefined;
      throw error;
    }
  };
}
