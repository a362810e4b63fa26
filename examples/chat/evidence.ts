/** What the relay has, looked at from outside: a copy of its folder, opened as a database and searched as raw bytes. */

import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';

/** One queued envelope: the random name of its mailbox, and its bytes. */
export interface Stored {
  readonly mailbox: string;
  readonly envelope: Uint8Array;
}

/** Copies the relay's mailboxes, which must not be open, and reads the queues in order. */
export async function copyMailboxes(data: string, to: string): Promise<Stored[]> {
  cpSync(join(data, 'mailboxes'), to, { recursive: true });
  cpSync(to, `${to}-opened`, { recursive: true }); // opening rewrites files; what is searched stays as it was
  const db = new ClassicLevel<string, Uint8Array>(`${to}-opened`, { valueEncoding: 'view' });
  const rows = await db.iterator({ gt: 'm', lt: 'n' }).all();
  await db.close();
  return rows.map(([key, envelope]) => ({ mailbox: key.slice(1, -16), envelope }));
}

/** Searches every file of a folder for each of the words, as UTF-8, UTF-16, base64 and hex. The number of hits, and of bytes searched. */
export function search(folder: string, words: readonly string[]): { readonly hits: number; readonly bytes: number } {
  const files = readdirSync(folder).map((name) => join(folder, name));
  const contents = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file));
  const needles = words.flatMap((word) => {
    const utf8 = Buffer.from(word, 'utf8');
    // Base64 of a piece in the middle of something depends on where it starts: three possible alignments, edges cut off.
    const base64 = [0, 1, 2].map((shift) =>
      Buffer.concat([Buffer.alloc(shift), utf8])
        .toString('base64')
        .slice(shift + 2, -4),
    );
    return [utf8, Buffer.from(word, 'utf16le'), Buffer.from(utf8.toString('hex')), ...base64.map((text) => Buffer.from(text))];
  });
  let hits = 0;
  for (const content of contents) for (const needle of needles) if (needle.length >= 8 && content.includes(needle)) hits++;
  return { hits, bytes: contents.reduce((sum, content) => sum + content.length, 0) };
}
