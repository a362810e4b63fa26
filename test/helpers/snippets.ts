/** The TypeScript of the documents, snippet by snippet. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

/** Folders without texts of ours, beside those that begin with a dot. */
const NOT_OURS = ['node_modules', 'dist', 'coverage', 'api', 'etc', 'reports'];

function documentsBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name.startsWith('.') || NOT_OURS.includes(entry.name) ? [] : documentsBelow(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** Everything that users and auditors read. */
export const DOCUMENTS: readonly string[] = documentsBelow('').sort();

/** One block of code. */
export interface Snippet {
  /** The document and the heading that it stands below, and its number there if it is not the first. */
  readonly name: string;
  readonly code: string;
}

/** The text of a file of the repository. */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Every block of TypeScript in a document. */
export function snippetsOf(document: string): Snippet[] {
  const found: Snippet[] = [];
  let heading = '';
  for (const [, title, code] of read(document).matchAll(/^#+ (.+)$|^```ts\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    if (code === undefined) continue;
    const name = `${document}: ${heading}`;
    const before = found.filter((each) => each.name === name || each.name.startsWith(`${name} (`)).length;
    found.push({ name: before === 0 ? name : `${name} (${before + 1})`, code });
  }
  return found;
}

/** Heading anchors as GitHub makes them. */
export function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}
