/**
 * An organisation's word: whether its root vouches for the identity of a contact, and which of its statements is kept.
 *
 * Knows statements and the directory that has them; what a statement does to a pin is for contacts.ts. A statement is kept only with a pin
 * that it names, without its signature, and stays when the pin changes: an older one never counts again.
 */

import { equal } from '../bytes.js';
import { isCyphrError } from '../errors.js';
import { compareRootStatements, type VerifiedRootStatement, verifyRootStatement } from '../identity/root.js';
import type { BundleBytes } from '../step.js';
import { parseRootStatementTbs } from '../wire/objects.js';
import type { KnownContact } from './contacts.js';
import type { Context } from './context.js';
import { isRefusedForGood } from './ports.js';

/** What the organisation says, for one client. */
export interface Vouching {
  /** Whether statements may come at all: there is an organisation, and the directory has them. */
  readonly isPossible: boolean;
  /** Whether a kept statement is the organisation's and names this identity, H(AIK). */
  vouches(statement: Uint8Array | undefined, accountKeyHash: Uint8Array): boolean;
  /**
   * Asks the directory where its answer could change something: an identity for which neither a person nor the organisation has spoken,
   * or another one than a vouched one. `undefined` if there is no statement, or none that verifies. Throws as the directory does.
   */
  ask(account: string, contact: KnownContact | undefined, shown: readonly BundleBytes[]): Promise<VerifiedRootStatement | undefined>;
  /** What is kept beside this identity, H(AIK): `offered` if it names it and is newer than what was kept. */
  kept(statement: Uint8Array | undefined, offered: VerifiedRootStatement | undefined, accountKeyHash: Uint8Array): Uint8Array | undefined;
  /** Whether `offered` confirms that a vouched contact has this identity, H(AIK), from now on: nobody has to decide. */
  confirms(contact: KnownContact, offered: VerifiedRootStatement | undefined, accountKeyHash: Uint8Array): boolean;
}

/** The organisation of `ctx.settings`. */
export function vouching(ctx: Context): Vouching {
  const { organisation } = ctx.settings;
  const statementOf = ctx.directory.statement?.bind(ctx.directory);

  /** Statements of another organisation say nothing, for or against. */
  const isNewer = (statement: Uint8Array | undefined, offered: VerifiedRootStatement): boolean => {
    if (statement === undefined) return true;
    const { rootKey, version } = parseRootStatementTbs(statement);
    if (!equal(rootKey, offered.rootKey)) return true;
    const standing = compareRootStatements({ version, tbs: statement }, offered);
    if (standing === 'conflict') ctx.observer.log('warn', 'statement-conflict');
    return standing === 'newer';
  };

  const self: Vouching = {
    isPossible: organisation !== undefined && statementOf !== undefined,
    vouches(statement, accountKeyHash) {
      if (statement === undefined || organisation === undefined) return false;
      const said = parseRootStatementTbs(statement);
      return equal(said.rootKey, organisation) && equal(said.accountKeyHash, accountKeyHash);
    },
    async ask(account, contact, shown) {
      if (organisation === undefined || statementOf === undefined || contact?.verified === true) return undefined;
      const isShown = (pinned: Uint8Array) => shown.every(({ identity }) => equal(identity.subarray(0, pinned.length), pinned));
      if (contact?.vouched === true && isShown(contact.identity)) return undefined;
      try {
        const bytes = await ctx.life.race(statementOf(account));
        if (bytes === undefined) return undefined;
        const statement = verifyRootStatement(bytes, organisation);
        if (statement.account === account) return statement;
        ctx.observer.log('warn', 'statement-rejected');
      } catch (error) {
        if (isCyphrError(error) && error.code === 'ERR_SIGNATURE') ctx.observer.log('warn', 'statement-rejected', error.code);
        // A directory that has none for anybody.
        else if (isRefusedForGood(error)) ctx.observer.log('info', 'statement-refused', error.code);
        else throw error;
      }
      return undefined;
    },
    kept(statement, offered, accountKeyHash) {
      const counts = offered !== undefined && equal(offered.accountKeyHash, accountKeyHash) && isNewer(statement, offered);
      return counts ? offered.tbs : statement;
    },
    confirms(contact, offered, accountKeyHash) {
      if (!contact.vouched || offered === undefined) return false;
      return self.kept(contact.statement, offered, accountKeyHash) === offered.tbs;
    },
  };
  return self;
}
