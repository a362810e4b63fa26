/** An explanation as lines of text. */

import type { Explanation, Part } from './explain.js';
import type { Findings } from './input.js';

const HEX_DIGITS = 48;

/** One line for each field, those of what stands within a field below it. */
export function printFindings({ found, unknown }: Findings): string[] {
  const lines = found.flatMap(({ path, explanation }) => [...(path === '' ? [] : ['', path]), ...printExplanation(explanation)]);
  if (found.length > 0 && unknown > 0) lines.push('', `${unknown} other texts are nothing that is known here: not shown`);
  return lines;
}

function printExplanation({ kind, section, lengthBytes, parts, fault }: Explanation, indent = ''): string[] {
  const width = Math.max(...parts.map(({ name }) => name.length), 0);
  return [
    `${indent}${kind}, ${lengthBytes} bytes (docs/protocol.md, section ${section})`,
    ...parts.flatMap((part) => [
      `${indent}${String(part.offset).padStart(8)} ${String(part.lengthBytes).padStart(6)}  ${part.name.padEnd(width)}  ${wordsOf(part)}`.trimEnd(),
      ...(part.inside ? printExplanation(part.inside, `${indent}          `) : []),
    ]),
    ...(fault ? [`${indent}WRONG at byte ${fault.offset}: ${fault.message} (${fault.code})`] : []),
  ];
}

function wordsOf({ value, meaning, inside }: Part): string {
  if (inside) return `${inside.kind}:`;
  const words = value === undefined ? [] : [cut(String(value))];
  return [...words, ...(meaning === undefined ? [] : [value === undefined ? meaning : `(${meaning})`])].join(' ');
}

function cut(text: string): string {
  return text.length <= HEX_DIGITS ? text : `${text.slice(0, HEX_DIGITS)}…`;
}
