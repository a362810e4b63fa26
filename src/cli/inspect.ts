/** `inspect`: what some bytes are. */

import type { Given } from './commands.js';
import { inspectBytes, inspectText } from './inspect/input.js';
import { printFindings } from './inspect/print.js';
import { isFile, readBytes, readInput, say, tell } from './terminal.js';

/** Explains `given.file`; `false` if nothing was recognised, or something is damaged. */
export function inspect({ file = '', json }: Given): boolean {
  const isThere = file === '-' || isFile(file);
  const findings = isThere ? inspectBytes(file === '-' ? readInput() : readBytes(file)) : inspectText(file);
  if (json) say(JSON.stringify(findings));
  else for (const line of printFindings(findings)) say(line);
  const what = isThere ? 'nothing that is known here' : 'there is no such file, and as a text it is nothing that is known here';
  if (findings.found.length === 0) tell(`${what}, or too damaged to be told`);
  return findings.found.length > 0 && findings.found.every(({ explanation }) => explanation.fault === undefined);
}
