/** `inspect`: what some bytes are. */

import type { Given } from './commands.js';
import { inspectBytes, inspectText } from './inspect/input.js';
import { printFindings } from './inspect/print.js';
import { isFile, readBytes, readInput, say, tell } from './terminal.js';

/** Explains `given.file`; `false` if nothing was recognised, or something is damaged. */
export function inspect({ file = '', json }: Given): boolean {
  const findings = file === '-' ? inspectBytes(readInput()) : isFile(file) ? inspectBytes(readBytes(file)) : inspectText(file);
  if (json) say(JSON.stringify(findings));
  else for (const line of printFindings(findings)) say(line);
  if (findings.found.length === 0) tell('nothing that is known here, or too damaged to be told');
  return findings.found.length > 0 && findings.found.every(({ explanation }) => explanation.fault === undefined);
}
